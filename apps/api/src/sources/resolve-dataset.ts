import { describeSource } from '@sgpo/artifacts';
import { registeredSource } from '@sgpo/core';
import type { DatasetSource, RowSpace, SgpoError, TeamId } from '@sgpo/core';
import type { DatasetRow } from '@sgpo/database';
import type { Dependencies } from '../dependencies.ts';
import { fieldError } from './field-error.ts';

type Place = Pick<Dependencies, 'database' | 'dataRoots' | 'environment' | 'cacheFolder'> & { readonly teamId: TeamId; readonly signal: AbortSignal };

/**
 * Looks at the head of a data set, and at the record of a registered one, whose digest is filled in. Throws DATASET.UNKNOWN, NOT_READY or CHANGED for
 * a registered one, and what describeSource throws for the place of its rows.
 */
export async function resolveDataset({ database, teamId, dataRoots, environment, cacheFolder, signal }: Place, space: RowSpace, source: DatasetSource): Promise<DatasetSource> {
  const field = `data.${space}`;
  const access = { roots: dataRoots, environment, cacheFolder, signal, space };
  if (source.dataset === null) {
    await describeSource(source, { ...access, field });
    return source;
  }
  const row = await findDataset({ database, teamId }, `${field}.dataset`, source.dataset);
  await describeSource(registeredSource(row.source, source), { ...access, field: `${field}.dataset` });
  if (source.sha256 !== null && source.sha256 !== row.sha256) {
    throw fieldError('DATASET.CHANGED', {
      field: `${field}.sha256`, value: source.sha256, message: `${field}.sha256 is not that of the registered data set ${row.name}, which is ${String(row.sha256)}`,
      fix: `Remove ${field}.sha256, or register the rows that were meant under another name`,
    });
  }
  return { ...source, sha256: row.sha256 };
}

/** A registered data set of the team that is ready. `field`: where it was named. */
export async function findDataset({ database, teamId }: Pick<Place, 'database' | 'teamId'>, field: string, name: string): Promise<DatasetRow> {
  const row = await database.datasets.find(teamId, name);
  if (row === null) {
    throw fieldError('DATASET.UNKNOWN', { field, value: name, message: `There is no registered data set ${JSON.stringify(name)}`, fix: 'List them with GET /v1/datasets, or register it with POST /v1/datasets' });
  }
  if (row.state !== 'ready') throw notReady(field, row);
  return row;
}

function notReady(field: string, { name, state, failure }: DatasetRow): SgpoError {
  if (state === 'registering') return fieldError('DATASET.NOT_READY', { field, value: name, message: `The data set ${name} is still being read`, fix: `Wait until GET /v1/datasets/${name} shows it as ready` });
  return fieldError('DATASET.NOT_READY', { field, value: name, message: `Registering the data set ${name} failed: ${failure?.message ?? 'the reason is not on record'}`, fix: failure?.remedy ?? 'Register it again' });
}
