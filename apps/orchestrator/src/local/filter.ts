import { filterScores, type Digest, type FilterStats } from '@sgpo/core';
import { tableSchemas } from '../table-schemas.ts';
import { createCounter, tableResult, type LocalStep } from './local-task.ts';

/** Tukey fences on the perplexity of each target set by itself (Section 3.1.2, F in Eq. 3). One verdict a scored row. */
export const filter: LocalStep<'filter'> = async ({ services }, spec) => {
  const stats: Record<string, FilterStats> = {};
  const counter = createCounter();
  async function* verdicts() {
    for (const target of ['external', 'improved'] as const) {
      const digest = spec.inputs[target];
      if (digest === undefined) continue;
      const filtered = filterScores(await scoresOf(digest), spec.parameters);
      stats[target] = filtered.stats;
      for (const verdict of filtered.verdicts) {
        counter.count(verdict.dropReason);
        yield { id: verdict.id, pos: verdict.pos, target, perplexity: verdict.perplexity, drop_reason: verdict.dropReason };
      }
    }
  }
  const published = await services.tables.write(tableSchemas.verdicts, verdicts());
  return tableResult(published, counter.counts(), { stats });

  async function scoresOf(digest: Digest) {
    const rows = [];
    for await (const row of services.tables.scan(digest)) {
      rows.push({
        id: row['id'] as string, pos: row['pos'] as number, sumLogprob: row['sum_logprob'] as number | null, tokens: row['tokens'] as number | null,
        endLogprob: row['end_logprob'] as number | null, dropReason: row['drop_reason'] as string | null,
      });
    }
    return rows;
  }
};
