import { SgpoError, type Digest } from '@sgpo/core';
import type { Services } from '../services.ts';
import { tableSchemas } from '../table-schemas.ts';
import { createCounter, tableResult, type LocalStep } from './local-task.ts';

/** Writes the shards of a step as one canonical table, whose digest does not depend on how the rows were cut. */
export const merge: LocalStep<'merge'> = async ({ services }, spec) => {
  const meta = await commonMeta(services, spec.shards, spec.of);
  const published = await services.tables.concatenate(tableSchemas[spec.of], spec.shards);
  const counter = createCounter();
  for await (const row of services.tables.scan(published.digest, { columns: ['pos', 'drop_reason'] })) counter.count(row['drop_reason'] as string | null);
  return tableResult(published, counter.counts(), { meta });
};

/** What all shards say of their making. Scores of one decision come from one engine, dtype and version, or not at all. */
async function commonMeta(services: Services, shards: readonly Digest[], kind: string): Promise<Record<string, unknown>> {
  const [first, ...others] = await Promise.all(shards.map(async (digest) => (await services.database.artifacts.get(digest))?.meta ?? {}));
  const common: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(first ?? {})) {
    if (others.every((other) => JSON.stringify(other[name]) === JSON.stringify(value))) common[name] = value;
    else if (kind === 'score') {
      throw new SgpoError('ARTIFACT.MIXED_ENGINES', `the shards of this score step differ in ${name}`, {
        remedy: 'Launch the run again with execution.cache: false while all workers run one engine and version',
      });
    }
  }
  return common;
}
