import { parseRunSpec, routes } from '@sgpo/contracts';
import { compileRun, SgpoError } from '@sgpo/core';
import type { FastifyInstance } from 'fastify';
import { teamOf } from '../auth.ts';
import { hashBody } from '../body-hash.ts';
import { checkSources } from '../check-sources.ts';
import { cursorOf, readCursor } from '../cursor.ts';
import type { Dependencies } from '../dependencies.ts';
import { toRun, toRunDetail } from '../mappers.ts';
import { addRoute } from '../route.ts';
import { findRun, findTree } from './find-run.ts';

/** Starting, listing, showing and canceling runs. */
export function addRunRoutes(app: FastifyInstance, dependencies: Dependencies): void {
  const { database } = dependencies;

  addRoute(app, 'createRun', routes.createRun, async ({ headers }, request, reply) => {
    const spec = parseRunSpec(request.body);
    await checkSources(spec, dependencies);
    const idempotencyKey = headers['idempotency-key'] ?? null;
    const { run, created } = await database.runs.create({
      // The body as it was sent, in canonical form: a default that changes with a release does not turn a repeated call into another one.
      teamId: teamOf(request), spec, plan: compileRun(spec), idempotencyKey, bodyHash: idempotencyKey === null ? null : hashBody(request.body),
    });
    request.log.info({ runId: run.id, preset: run.preset, created }, 'run requested');
    void reply.code(created ? 201 : 200).header('location', `/v1/runs/${run.id}`);
    return toRun(run);
  });

  addRoute(app, 'listRuns', routes.listRuns, async ({ query }, request) => {
    // One row more than asked for tells whether there is a next page.
    const rows = await database.runs.list({
      teamId: teamOf(request), limit: query.limit + 1, before: query.cursor === undefined ? null : readCursor(query.cursor), state: query.state ?? null,
    });
    const page = rows.slice(0, query.limit);
    const last = page.at(-1);
    return { runs: page.map(toRun), next: rows.length > query.limit && last !== undefined ? cursorOf(last.id) : null };
  });

  addRoute(app, 'getRun', routes.getRun, async ({ params }, request) => toRunDetail(await findTree(database, request, params.id)));

  addRoute(app, 'cancelRun', routes.cancelRun, async ({ params }, request, reply) => {
    const { id } = await findRun(database, request, params.id);
    await database.runs.requestCancel(id);
    const run = await findRun(database, request, id);
    if (run.state !== 'canceling' && run.state !== 'canceled') {
      throw new SgpoError('RUN.FINISHED', `Run ${id} has already ended: it ${run.state}`, { remedy: 'Nothing is left to cancel' });
    }
    void reply.code(202);
    return toRun(run);
  });
}
