import { afterAll, beforeAll, expect, test } from 'vitest';
import type { PublishedTable, Row } from '@sgpo/artifacts';
import type { Digest, Message, RuleOptions } from '@sgpo/core';
import type { TaskResult } from '@sgpo/database';
import { contextOf, openBed, type Bed } from '../testing/bed.ts';
import { tableSchemas } from '../table-schemas.ts';
import { buildSft } from './build-sft.ts';
import { merge } from './merge.ts';
import { pair } from './pair.ts';

/** What steps make of real tables: the decisions themselves are tested in core. */
let bed: Bed;
beforeAll(async () => { bed = await openBed(); });
afterAll(() => bed.close());

const rules: RuleOptions = { unfinished: 'drop', targetFlaws: [], chosenFlaws: [], copyOfDraft: 'drop', replay: 0 };
const ask = (content: string): Message[] => [{ role: 'user', content }];
const idOf = (pos: number): string => `r${String(pos)}`;
const positions = Array.from({ length: 12 }, (_, pos) => pos);

async function rowsOf(digest: Digest): Promise<Row[]> {
  const rows: Row[] = [];
  for await (const row of bed.services.tables.scan(digest)) rows.push(row);
  return rows;
}
const lostOf = ({ dropped }: TaskResult): number => Object.values(dropped).reduce((sum, n) => sum + n, 0);

const writeRows = (): Promise<PublishedTable> =>
  bed.services.tables.write(tableSchemas.rows, positions.map((pos) => ({ id: idOf(pos), pos, prompt: ask(`question ${String(pos)}`), response: `reference ${String(pos)}`, source_row: pos })));
/** An answer a row; `finish` and `drop` say what became of it. */
const writeAnswers = (name: string, { finish = () => 'stop', drop = () => null }: { readonly finish?: (pos: number) => string; readonly drop?: (pos: number) => string | null } = {}): Promise<PublishedTable> =>
  bed.services.tables.write(tableSchemas.generate, positions.map((pos) => ({
    id: idOf(pos), pos, text: drop(pos) === null ? `${name} ${String(pos)}` : null, token_ids: drop(pos) === null ? [1] : null, finish_reason: drop(pos) === null ? finish(pos) : null,
    prompt_tokens: 10, completion_tokens: drop(pos) === null ? 5 : 0, drop_reason: drop(pos),
  })));

test('a merge of samples adds up what was sampled, without the rows that were not', async () => {
  const table = await writeAnswers('y', { finish: (pos) => (pos < 3 ? 'length' : 'stop'), drop: (pos) => (pos === 11 ? 'prompt_too_long' : null) });
  const merged = await merge(contextOf(bed.services), { kind: 'merge', of: 'generate', shards: [table.digest] });
  expect(merged).toMatchObject({ rowsIn: 12, rowsOut: 11, dropped: { prompt_too_long: 1 }, stats: { promptTokens: 110, completionTokens: 55, finished: 8, unfinished: 3 } });
});

test('every given pair becomes a pair or a reason', async () => {
  const table = await bed.services.tables.write(
    { id: 'string', pos: 'int', prompt: 'messages', chosen: 'string', rejected: 'string', source_row: 'int' },
    [['good', 'bad'], ['same ', ' same'], [' ', 'bad'], ['better', 'worse']].map(([chosen = null, rejected = null], pos) => ({ id: idOf(pos), pos, prompt: ask('q'), chosen, rejected, source_row: pos })),
  );
  const result = await pair(contextOf(bed.services), { kind: 'pair', parameters: { chosen: 'given', rejected: 'given', rules }, inputs: { rows: table.digest } });
  expect(result).toMatchObject({ rowsIn: 4, rowsOut: 2, dropped: { identical: 1, chosen_empty: 1 } });
  expect(await rowsOf(result.output.digest)).toMatchObject([
    { id: 'r0', prompt: ask('q'), chosen: [{ role: 'assistant', content: 'good' }], rejected: [{ role: 'assistant', content: 'bad' }] }, { id: 'r3' },
  ]);
});

async function trainingSet(replay: number): Promise<TaskResult> {
  const rows = await writeRows();
  const draft = await writeAnswers('draft', { finish: (pos) => (pos === 0 ? 'length' : 'stop') });
  const improved = await writeAnswers('better', { drop: (pos) => (pos < 4 ? 'teacher_empty' : null) });
  const filter = await bed.services.tables.write(tableSchemas.verdicts, positions.map((pos) => ({ id: idOf(pos), pos, target: 'improved', perplexity: 2, drop_reason: null })));
  return buildSft(contextOf(bed.services), {
    kind: 'build-sft', parameters: { prompt: 'train', promptHash: 'h', rules: { ...rules, replay }, seed: 3 },
    inputs: { rows: rows.digest, draft: draft.digest, filter: filter.digest, improved: improved.digest },
  });
}

test('a training set without replay has a row in for each target', async () => {
  const result = await trainingSet(0);
  expect(result).toMatchObject({ rowsIn: 12, rowsOut: 8, stats: { replay: { wanted: 0, rows: 0 } }, output: { rows: 8 } });
  expect(result.rowsIn).toBe(result.rowsOut + lostOf(result));
});

test('with replay every prompt is a candidate, and the share of the whole comes out', async () => {
  const result = await trainingSet(0.2);
  expect(result).toMatchObject({ rowsIn: 24, rowsOut: 10, dropped: { replay_unfinished: 1, not_replayed: 9 }, stats: { replay: { wanted: 2, rows: 2 } }, output: { rows: 10 } });
  expect(result.rowsIn).toBe(result.rowsOut + lostOf(result));
  const replayed = (await rowsOf(result.output.digest)).filter(({ completion }) => JSON.stringify(completion).includes('draft'));
  expect(replayed).toHaveLength(2);
  for (const { id, prompt, completion } of replayed) {
    const pos = (id as string).slice(1);
    expect([prompt, completion]).toEqual([ask(`question ${pos}`), [{ role: 'assistant', content: `draft ${pos}` }]]);
  }
  expect((await trainingSet(0.2)).output.digest).toBe(result.output.digest);
});
