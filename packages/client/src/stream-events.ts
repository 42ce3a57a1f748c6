import { setTimeout as sleep } from 'node:timers/promises';
import { eventSchema, pathOf, routes } from '@sgpo/contracts';
import type { RunEvent } from '@sgpo/contracts';
import { badAnswer, send, unreachable } from './call.ts';
import type { Connection } from './call.ts';
import { ApiError } from './errors.ts';
import { readEvents } from './server-sent-events.ts';

export interface StreamOptions {
  /** Sequence number to go on from; 0 for the whole run. */
  readonly after?: number;
  /** Ends the stream; the iteration rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** How long a lost server is waited for before the iteration rejects, in ms. */
  readonly patienceMs?: number;
}

/**
 * Events of a run, each once and in order, up to the last one. After a lost connection the stream goes on behind the last event that was received;
 * it rejects with ApiError when the server refuses, or cannot be reached for `patienceMs` (60 s).
 */
export async function* streamEvents(connection: Connection, id: string, options: StreamOptions = {}): AsyncGenerator<RunEvent, void, undefined> {
  const { signal, patienceMs = 60_000 } = options;
  let last = options.after ?? 0;
  let lostAt: number | null = null;
  for (let failures = 0; ;) {
    signal?.throwIfAborted();
    try {
      const response = await send(connection, {
        method: 'GET', path: pathOf(routes.events, { id }), headers: { 'accept': 'text/event-stream', 'last-event-id': String(last) }, signal,
      });
      // 204: the run has ended and nothing is left.
      if (response.status === 204) return;
      if (response.body === null || !(response.headers.get('content-type') ?? '').startsWith('text/event-stream')) throw badAnswer(response.status);
      for await (const { data } of readEvents(response.body)) {
        const event = parseEvent(data);
        if (event.sequence <= last) continue;
        last = event.sequence;
        [failures, lostAt] = [0, null];
        yield event;
      }
      // The server ends the stream behind the last event of the run, and when it stops: asking again tells which.
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof ApiError && !isPassing(error)) throw error;
      lostAt ??= Date.now();
      if (Date.now() - lostAt >= patienceMs) throw error instanceof ApiError ? error : unreachable(connection, false, error);
    }
    await sleep(Math.min(5000, 100 * 2 ** failures), undefined, signal === undefined ? {} : { signal });
    failures += 1;
  }
}

const isPassing = (error: ApiError): boolean => error.code === 'CLIENT.UNREACHABLE' || error.code === 'CLIENT.TIMEOUT' || error.status === 429 || (error.status !== null && error.status >= 502 && error.status <= 504);

function parseEvent(data: string): RunEvent {
  try {
    return eventSchema.parse(JSON.parse(data));
  } catch (cause) {
    throw badAnswer(200, cause);
  }
}
