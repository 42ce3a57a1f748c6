import { tableSchemas } from '../table-schemas.ts';
import { createCounter, tableResult, type LocalStep } from './local-task.ts';

/** Writes the shards of a step as one canonical table, whose digest does not depend on how the rows were cut. */
export const merge: LocalStep<'merge'> = async ({ services }, spec) => {
  const published = await services.tables.concatenate(tableSchemas[spec.of], spec.shards);
  const counter = createCounter();
  for await (const row of services.tables.scan(published.digest, { columns: ['pos', 'drop_reason'] })) counter.count(row['drop_reason'] as string | null);
  return tableResult(published, counter.counts());
};
