import { buildSftRow, createSftStats, type Digest, type Message } from '@sgpo/core';
import { tableSchemas } from '../table-schemas.ts';
import { createCounter, tableResult, type LocalStep } from './local-task.ts';
import { answerOf } from './answer-row.ts';

/** D_train: p_train(x, y₀) → ŷ and p_train(x, y₀) → y_ext, for the targets the filter kept (Eq. 3). One row in for each target of each prompt. */
export const buildSft: LocalStep<'build-sft'> = async ({ services }, spec) => {
  const { rows, draft, filter, ...sets } = spec.inputs;
  if (rows === undefined || draft === undefined || filter === undefined) throw new TypeError('build-sft needs rows, draft and filter');
  const counter = createCounter();
  const stats = createSftStats();
  const verdicts = await verdictsOf(filter);

  async function* examples(rowsDigest: Digest, draftDigest: Digest) {
    for (const target of ['external', 'improved'] as const) {
      const digest = sets[target];
      if (digest === undefined) continue;
      const joined = services.tables.join({
        rows: { source: rowsDigest, columns: { prompt: 'prompt', response: 'response' } },
        draft: { source: draftDigest, columns: { draftText: 'text', draftFinish: 'finish_reason', draftDrop: 'drop_reason' } },
        target: { source: digest, columns: { targetText: 'text', targetFinish: 'finish_reason', targetDrop: 'drop_reason' } },
      });
      for await (const row of joined) {
        const id = row['id'] as string;
        const source = { id, prompt: row['prompt'] as readonly Message[], response: row['response'] as string };
        const draftAnswer = answerOf(row, 'draft');
        const targetAnswer = answerOf(row, 'target');
        stats.add({ target, row: source, draft: draftAnswer, answer: targetAnswer });
        const built = buildSftRow({ row: source, draft: draftAnswer, target: targetAnswer, verdict: verdicts.get(`${target} ${id}`) ?? null, prompt: spec.parameters.prompt });
        counter.count('dropReason' in built ? built.dropReason : null);
        if (!('dropReason' in built)) yield { ...built, id: `${id}-${target}` };
      }
    }
  }
  const published = await services.tables.write(tableSchemas.sft, examples(rows, draft));
  return tableResult(published, counter.counts(), { stats: { ...stats.result() }, meta: { promptHash: spec.parameters.promptHash } });

  async function verdictsOf(digest: Digest): Promise<ReadonlyMap<string, { readonly dropReason: string | null }>> {
    const map = new Map<string, { readonly dropReason: string | null }>();
    for await (const row of services.tables.scan(digest)) map.set(`${row['target'] as string} ${row['id'] as string}`, { dropReason: row['drop_reason'] as string | null });
    return map;
  }
};
