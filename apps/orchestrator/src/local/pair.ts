import { buildPair, createPairStats, type Message } from '@sgpo/core';
import { tableSchemas } from '../table-schemas.ts';
import { answerOf } from './answer-row.ts';
import { createCounter, tableResult, type LocalStep } from './local-task.ts';

/** Preference pairs (Section 3.2): y is rejected; y⁺, or the reference, is chosen. One pair, or one reason, a prompt. */
export const pair: LocalStep<'pair'> = async ({ services }, spec) => {
  const { rows, rejected, chosen } = spec.inputs;
  if (rows === undefined || rejected === undefined) throw new TypeError('pair needs rows and rejected');
  const counter = createCounter();
  const stats = createPairStats();
  const joined = services.tables.join({
    rows: { source: rows, columns: { prompt: 'prompt', response: 'response' } },
    rejected: { source: rejected, columns: { rejectedText: 'text', rejectedFinish: 'finish_reason', rejectedDrop: 'drop_reason' } },
    ...(chosen === undefined ? {} : { chosen: { source: chosen, columns: { chosenText: 'text', chosenFinish: 'finish_reason', chosenDrop: 'drop_reason' } } }),
  });
  async function* pairs() {
    for await (const row of joined) {
      const source = { id: row['id'] as string, prompt: row['prompt'] as readonly Message[], response: row['response'] as string };
      const sides = {
        row: source,
        rejected: answerOf(row, 'rejected'),
        chosen: chosen === undefined ? { text: source.response, finishReason: 'stop', dropReason: null } : answerOf(row, 'chosen'),
        chosenIsReference: spec.parameters.chosen === 'reference',
      };
      stats.add(sides);
      const built = buildPair(sides);
      counter.count('dropReason' in built ? built.dropReason : null);
      if (!('dropReason' in built)) yield built;
    }
  }
  const published = await services.tables.write(tableSchemas.pairs, pairs());
  return tableResult(published, counter.counts(), { stats: { ...stats.result() } });
};
