import { registeredSource, SgpoError, type DatasetSource, type RunId } from '@sgpo/core';
import type { Services } from '../services.ts';

/** Where the rows of a spec's data set are: the source itself, or that of the registered set it names. Throws DATASET.UNKNOWN. `field`: where the spec names it. */
export async function sourceOfRun({ database }: Pick<Services, 'database'>, runId: RunId, source: DatasetSource, field: string): Promise<DatasetSource> {
  const { dataset: name } = source;
  if (name === null) return source;
  const run = await database.runs.get(runId);
  const registered = run === null ? null : await database.datasets.find(run.teamId, name);
  if (registered === null) {
    const message = `there is no registered data set ${JSON.stringify(name)} any more`;
    const fix = 'Register it again with POST /v1/datasets';
    throw new SgpoError('DATASET.UNKNOWN', `${field}.dataset: ${message}`, { remedy: fix, problems: [{ field: `${field}.dataset`, value: name, message, fix }] });
  }
  return registeredSource(registered.source, source);
}
