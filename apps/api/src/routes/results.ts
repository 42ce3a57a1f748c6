import { routes } from '@sgpo/contracts';
import { SgpoError } from '@sgpo/core';
import type { FastifyInstance } from 'fastify';
import { prefers } from '../accept.ts';
import type { Dependencies } from '../dependencies.ts';
import { toMetrics } from '../mappers.ts';
import { addRoute } from '../route.ts';
import { findRun, findTree } from './find-run.ts';

/** Curves, lineage and report of a run. */
export function addResultRoutes(app: FastifyInstance, { database, store }: Dependencies): void {
  addRoute(app, 'metrics', routes.metrics, async ({ params }, request) => {
    const { id } = await findRun(database, request, params.id);
    return toMetrics(await database.metrics.ofRun(id));
  });

  addRoute(app, 'lineage', routes.lineage, async ({ params }, request) => {
    const { id } = await findRun(database, request, params.id);
    return { links: (await database.artifacts.lineageOfRun(id)).map((link) => ({ ...link })) };
  });

  addRoute(app, 'report', routes.report, async ({ params }, request, reply) => {
    const { steps, run } = await findTree(database, request, params.id);
    // The last step of a run makes the one, that of a preview the other.
    const last = steps.find(({ kind }) => kind === 'report' || kind === 'preview');
    const output = last?.output ?? null;
    if (last === undefined || output === null) {
      throw new SgpoError('RUN.NO_REPORT', `Run ${run.id} has no report: it is ${run.state}`, { remedy: 'The report is made by the last step; GET /v1/runs/{id} shows how far the run is' });
    }
    const asMarkdown = prefers(request.headers.accept, 'text/markdown', ['application/json']);
    const { stream, bytes } = await store.openFile(output, `${last.kind}.${asMarkdown ? 'md' : 'json'}`);
    return reply.type(asMarkdown ? 'text/markdown; charset=utf-8' : 'application/json; charset=utf-8').header('content-length', bytes).header('vary', 'accept').send(stream);
  });
}
