import { setTimeout as sleep } from 'node:timers/promises';
import { routes } from '@sgpo/contracts';
import { isTerminal } from '@sgpo/core';
import type { RunId } from '@sgpo/core';
import type { Database, RunRow } from '@sgpo/database';
import type { SSEReplyInterface } from '@fastify/sse';
import type { FastifyBaseLogger, FastifyInstance } from 'fastify';
import { teamOf } from '../auth.ts';
import type { Dependencies } from '../dependencies.ts';
import { toEvent } from '../mappers.ts';
import { addRoute } from '../route.ts';
import { findRun } from './find-run.ts';

/** Events read from the database at once while a stream catches up. */
const streamPage = 200;

/** Events of a run, as pages and as a stream. Streams end when the run has, and when the server stops. */
export function addEventRoutes(app: FastifyInstance, { database, eventPollMs }: Dependencies): void {
  const streams = new Set<AbortController>();
  // An open stream would hold up close() for ever.
  app.addHook('preClose', () => { for (const stream of streams) stream.abort(); });

  addRoute(app, 'events', routes.events, async ({ params, query, headers }, request, reply) => {
    const run = await findRun(database, request, params.id);
    const after = headers['last-event-id'] === undefined ? query.after : Number(headers['last-event-id']);
    // Only there when the client asked for a stream, whatever the plugin's type says.
    const sse: SSEReplyInterface | undefined = reply.sse;
    if (sse === undefined) {
      const events = (await database.events.after(run.id, after, query.limit)).map(toEvent);
      const last = events.at(-1)?.sequence ?? after;
      return { events, last, ended: hasNothingAfter(run, last) };
    }
    // 204 is how a browser's EventSource is told not to come again.
    if (hasNothingAfter(run, after)) return reply.code(204).send();
    const stream = new AbortController();
    streams.add(stream);
    // The connection ends with the stream: an idle one would hold up a server that stops.
    void reply.header('connection', 'close');
    sse.onClose(() => { stream.abort(); });
    try {
      await follow({ database, sse, teamId: teamOf(request), id: run.id, after, pollMs: eventPollMs, signal: stream.signal, log: request.log });
    } finally {
      streams.delete(stream);
      sse.close();
    }
    return reply;
  }, { stream: true });
}

const hasNothingAfter = (run: RunRow, sequence: number): boolean => isTerminal('run', run.state) && sequence >= run.eventSequence;

async function follow({ database, sse, teamId, id, after, pollMs, signal, log }: {
  readonly database: Database; readonly sse: SSEReplyInterface; readonly teamId: RunRow['teamId']; readonly id: RunId; readonly after: number; readonly pollMs: number;
  readonly signal: AbortSignal; readonly log: FastifyBaseLogger;
}): Promise<void> {
  const aborted = new Promise<void>((resolve) => { signal.addEventListener('abort', () => { resolve(); }, { once: true }); });
  let last = after;
  sse.sendHeaders();
  try {
    while (!signal.aborted) {
      const run = await database.runs.get(id, teamId);
      if (run === null) return;
      while (!signal.aborted && last < run.eventSequence) {
        const rows = await database.events.after(id, last, streamPage);
        for (const row of rows) {
          // A client that stops reading without closing would keep a write waiting: the end of the stream must not wait with it.
          await Promise.race([sse.send({ id: String(row.sequence), event: row.type, data: toEvent(row) }), aborted]);
          if (signal.aborted) return;
          last = row.sequence;
        }
        if (rows.length === 0) break;
      }
      if (hasNothingAfter(run, last)) return;
      await sleep(pollMs, undefined, { signal });
    }
  } catch (error) {
    // The head is sent: all that is left is to end the stream; the client comes again with Last-Event-ID.
    if (!signal.aborted) log.error({ err: error, runId: id }, 'event stream failed');
  }
}
