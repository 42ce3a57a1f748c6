import { isUnfinished, SgpoError, type Digest } from '@sgpo/core';
import type { Services } from '../services.ts';
import { tableSchemas } from '../table-schemas.ts';
import { createCounter, tableResult, type LocalStep } from './local-task.ts';

/** Writes the shards of a step as one canonical table, whose digest does not depend on how the rows were cut. Sampled answers are added up. */
export const merge: LocalStep<'merge'> = async ({ services }, spec) => {
  const meta = await commonMeta(services, spec.shards, spec.of);
  const published = await services.tables.concatenate(tableSchemas[spec.of], spec.shards);
  const counter = createCounter();
  const answers = { promptTokens: 0, completionTokens: 0, finished: 0, unfinished: 0 };
  const sampled = spec.of === 'generate';
  const columns = ['pos', 'drop_reason', ...(sampled ? ['finish_reason', 'prompt_tokens', 'completion_tokens'] : [])];
  for await (const row of services.tables.scan(published.digest, { columns })) {
    const dropReason = row['drop_reason'] as string | null;
    counter.count(dropReason);
    if (!sampled || dropReason !== null) continue;
    answers.promptTokens += row['prompt_tokens'] as number | null ?? 0;
    answers.completionTokens += row['completion_tokens'] as number | null ?? 0;
    answers[isUnfinished({ text: null, finishReason: row['finish_reason'] as string | null, dropReason }) ? 'unfinished' : 'finished'] += 1;
  }
  return tableResult(published, counter.counts(), { meta, stats: sampled ? answers : {} });
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
