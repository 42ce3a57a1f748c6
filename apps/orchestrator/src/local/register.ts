import { checkDataset, type DataCheck } from '@sgpo/artifacts';
import { failureOf, SgpoError, type DatasetId } from '@sgpo/core';
import type { DatasetFacts, DatasetRow } from '@sgpo/database';
import type { Services } from '../services.ts';

/**
 * Reads registered data sets whole, and writes down what they are or why they cannot be used. Reading changes nothing: a registration that a process
 * left is begun again. One that is under way here already is not begun twice.
 */
export function createRegistrar(services: Services): (datasetId: DatasetId, shutdown: AbortSignal) => Promise<void> {
  const underWay = new Set<DatasetId>();
  return async (datasetId, shutdown) => {
    if (underWay.has(datasetId)) return;
    underWay.add(datasetId);
    try {
      const dataset = await services.database.datasets.get(datasetId);
      if (dataset?.state === 'registering') await registerDataset(services, dataset, shutdown);
    } finally {
      underWay.delete(datasetId);
    }
  };
}

async function registerDataset(services: Services, dataset: DatasetRow, shutdown: AbortSignal): Promise<void> {
  const { database, log } = services;
  try {
    const facts = await readFacts(services, dataset, shutdown);
    await database.datasets.finish(dataset.id, facts);
    log.info({ datasetId: dataset.id, rows: facts.counts.rowsIn, kept: facts.counts.rowsOut }, 'data set registered');
  } catch (error) {
    if (shutdown.aborted) return;
    log.error({ datasetId: dataset.id, err: error }, 'data set cannot be registered');
    await database.datasets.fail(dataset.id, failureOf(error));
  }
}

async function readFacts({ dataRoots, environment, cacheFolder }: Services, { source, space }: DatasetRow, signal: AbortSignal): Promise<DatasetFacts> {
  const check = await checkDataset({ source, space, against: {}, heldOutOverlap: 'drop', scores: 'check' }, { roots: dataRoots, field: 'source', environment, cacheFolder, signal });
  if (check.kept === 0) throw noRowsLeft(check);
  return {
    schema: { format: check.format, columns: check.schema.map(({ name }) => name) }, counts: { rowsIn: check.rows, rowsOut: check.kept, dropped: check.dropped, flagged: check.flagged },
    sha256: check.sha256, preview: check.sample,
  };
}

const noRowsLeft = ({ rows, dropped }: DataCheck): SgpoError => new SgpoError('DATASET.NO_ROWS_LEFT', `source: none of the ${String(rows)} rows is usable (${JSON.stringify(dropped)})`, {
  remedy: 'See the reasons: correct the rows, or register another file', problems: [{ field: 'source', message: 'no usable row', fix: 'correct the rows' }],
});
