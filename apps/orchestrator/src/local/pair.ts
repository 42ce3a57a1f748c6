import { buildGivenPair, buildPair, createPairStats, type Digest, type Message, type PairRow } from '@sgpo/core';
import { tableSchemas } from '../table-schemas.ts';
import { answerOf } from './answer-row.ts';
import { createCounter, tableResult, type LocalStep } from './local-task.ts';

type Built = PairRow | { readonly dropReason: string };

/** Preference pairs (Section 3.2): y is rejected; y⁺, or the reference, is chosen; or both sides as a data set gives them. One pair, or one reason, a prompt. */
export const pair: LocalStep<'pair'> = async ({ services, signal }, { parameters, inputs }) => {
  const { rows, rejected, chosen } = inputs;
  if (rows === undefined) throw new TypeError('pair needs rows');
  const counter = createCounter();
  const stats = createPairStats();
  const published = await services.tables.write(tableSchemas.pairs, kept(parameters.chosen === 'given' ? given(rows) : sampled(rows)));
  return tableResult(published, counter.counts(), { stats: { ...stats.result() } });

  async function* kept(built: AsyncIterable<Built>) {
    for await (const one of built) {
      signal.throwIfAborted();
      counter.count('dropReason' in one ? one.dropReason : null);
      if (!('dropReason' in one)) yield one;
    }
  }

  async function* sampled(source: Digest): AsyncGenerator<Built> {
    if (rejected === undefined) throw new TypeError('pair needs rejected');
    const joined = services.tables.join({
      rows: { source, columns: { prompt: 'prompt', response: 'response' } },
      rejected: { source: rejected, columns: { rejectedText: 'text', rejectedFinish: 'finish_reason', rejectedDrop: 'drop_reason' } },
      ...(chosen === undefined ? {} : { chosen: { source: chosen, columns: { chosenText: 'text', chosenFinish: 'finish_reason', chosenDrop: 'drop_reason' } } }),
    });
    for await (const row of joined) {
      const response = row['response'] as string;
      const sides = {
        row: { id: row['id'] as string, prompt: row['prompt'] as readonly Message[], response },
        rejected: answerOf(row, 'rejected'),
        chosen: chosen === undefined ? { text: response, finishReason: 'stop', dropReason: null } : answerOf(row, 'chosen'),
        chosenIsReference: parameters.chosen === 'reference', rules: parameters.rules,
      };
      stats.add(sides);
      yield buildPair(sides);
    }
  }

  async function* given(source: Digest): AsyncGenerator<Built> {
    for await (const scanned of services.tables.scan(source, { columns: ['id', 'pos', 'prompt', 'chosen', 'rejected'] })) {
      const row = { id: scanned['id'] as string, prompt: scanned['prompt'] as readonly Message[], chosen: scanned['chosen'] as string, rejected: scanned['rejected'] as string };
      stats.addGiven(row);
      yield buildGivenPair({ row });
    }
  }
};
