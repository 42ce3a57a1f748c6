import { describeSource } from '@sgpo/artifacts';
import { parseDatasetBody, routes } from '@sgpo/contracts';
import { SgpoError } from '@sgpo/core';
import type { DatasetId } from '@sgpo/core';
import type { FastifyInstance } from 'fastify';
import { teamOf } from '../auth.ts';
import type { SignalOf } from '../caller-signal.ts';
import { pageOf, readCursor } from '../cursor.ts';
import type { Dependencies } from '../dependencies.ts';
import { toDataset } from '../mappers.ts';
import { addRoute } from '../route.ts';

/** Data sets under a name: read once as a whole, then named by specs. */
export function addDatasetRoutes(app: FastifyInstance, dependencies: Dependencies, signalOf: SignalOf): void {
  const { database, dataRoots, environment, cacheFolder } = dependencies;

  addRoute(app, 'createDataset', routes.createDataset, async (_, request, reply) => {
    const { name, source, as: space, license } = parseDatasetBody(request.body);
    await describeSource(source, { roots: dataRoots, field: 'source', space, environment, cacheFolder, signal: signalOf(reply) });
    const row = await database.datasets.create({ teamId: teamOf(request), name, space, source, license });
    request.log.info({ datasetId: row.id }, 'data set to be registered');
    void reply.code(202).header('location', `/v1/datasets/${encodeURIComponent(name)}`);
    return toDataset(row);
  });

  addRoute(app, 'listDatasets', routes.listDatasets, async ({ query }, request) => {
    const rows = await database.datasets.list({ teamId: teamOf(request), limit: query.limit + 1, before: query.cursor === undefined ? null : readCursor<DatasetId>(query.cursor) });
    const { page, next } = pageOf(rows, query.limit);
    return { datasets: page.map(toDataset), next };
  });

  addRoute(app, 'getDataset', routes.getDataset, async ({ params }, request) => {
    const row = await database.datasets.find(teamOf(request), params.name);
    if (row === null) throw new SgpoError('DATASET.UNKNOWN', `There is no registered data set ${params.name}`, { remedy: 'List them with GET /v1/datasets' });
    return toDataset(row);
  });
}
