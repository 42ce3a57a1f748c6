import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseRunSpec, previewResultSchema, routes } from '@sgpo/contracts';
import type { Preview } from '@sgpo/contracts';
import { compileRun, isTerminal, SgpoError } from '@sgpo/core';
import type { RunId, TeamId } from '@sgpo/core';
import type { RunRow } from '@sgpo/database';
import type { FastifyInstance } from 'fastify';
import { teamOf } from '../auth.ts';
import type { SignalOf } from '../caller-signal.ts';
import type { Dependencies } from '../dependencies.ts';
import { toRun } from '../mappers.ts';
import { addRoute } from '../route.ts';
import { createSourceResolver } from '../sources/resolve-sources.ts';

/** Previews: small runs that are waited for. */
export function addPreviewRoutes(app: FastifyInstance, dependencies: Dependencies, signalOf: SignalOf): void {
  const { database, store } = dependencies;

  addRoute(app, 'previewRun', routes.previewRun, async ({ query }, request, reply) => {
    const teamId = teamOf(request);
    const signal = signalOf(reply);
    const spec = await createSourceResolver(dependencies, teamId, signal).resolve(parseRunSpec({ ...parseRunSpec(request.body), preview: { rows: query.rows } }));
    const created = await database.runs.create({ teamId, spec, plan: compileRun(spec), idempotencyKey: null, bodyHash: null });
    request.log.info({ runId: created.run.id, preset: spec.preset, rows: query.rows }, 'preview requested');
    const run = await waitForEnd(created.run, teamId, { patienceMs: query.waitSeconds * 1000, signal });
    void reply.code(isTerminal('run', run.state) ? 200 : 202).header('location', `/v1/runs/${run.id}`);
    return { run: toRun(run), result: run.state === 'succeeded' ? await readResult(run.id) : null };
  });

  /** The run as it is when it has ended or waits for its owner, when patience is at its end, or when nobody waits any more. */
  async function waitForEnd(begun: RunRow, teamId: TeamId, { patienceMs, signal }: { readonly patienceMs: number; readonly signal: AbortSignal }): Promise<RunRow> {
    const until = Date.now() + patienceMs;
    let run = begun;
    while (!isTerminal('run', run.state) && run.state !== 'paused' && Date.now() < until && !signal.aborted) {
      await sleep(Math.min(dependencies.eventPollMs, until - Date.now()), undefined, { signal }).catch((error: unknown) => { if (!signal.aborted) throw error; });
      run = await database.runs.get(run.id, teamId) ?? run;
    }
    return run;
  }

  async function readResult(id: RunId): Promise<Preview['result']> {
    const tree = await database.runs.tree(id);
    const output = tree?.steps.find(({ kind }) => kind === 'preview')?.output ?? null;
    if (output === null) throw new SgpoError('SERVICE.INTERNAL', `Run ${id} has no preview`, { remedy: 'Report this: a preview that succeeded has one' });
    const { stream } = await store.openFile(output, 'preview.json');
    return previewResultSchema.parse(JSON.parse(await text(stream)));
  }
}
