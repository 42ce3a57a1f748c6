// Every preset in one study: each does what its row of the paper's tables says, and what two of them share is done once.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Lineage, RunDetail, Study } from '@sgpo/contracts';
import { presetNames, type PresetName } from '@sgpo/core';
import { startFleet, type Fleet } from './fleet.ts';

/** Who makes what (method: Section 3 and Tables 3 to 7). `start`: the model of the first round, which is its reference. */
interface Expected {
  readonly targets: readonly ('improved' | 'external')[];
  readonly referenceInTraining: boolean;
  readonly referenceInRefining: boolean | null;
  readonly start: 'pi0' | 'improver' | null;
  readonly refiner: 'improver' | null;
  readonly chosen: 'refined' | 'reference' | 'given' | null;
  readonly rejected: 'sampled' | 'given' | null;
  readonly rounds: number;
}
const both = ['external', 'improved'] as const;
const sgpo: Expected = { targets: both, referenceInTraining: false, referenceInRefining: true, start: 'improver', refiner: 'improver', chosen: 'refined', rejected: 'sampled', rounds: 1 };
const untaught: Expected = { targets: [], referenceInTraining: false, referenceInRefining: null, start: 'pi0', refiner: null, chosen: 'reference', rejected: 'sampled', rounds: 1 };
const expected: Readonly<Record<PresetName, Expected>> = {
  'sft': { ...untaught, start: null, chosen: null, rejected: null, rounds: 0 },
  'dpo': { ...untaught, chosen: 'given', rejected: 'given' },
  'spin': untaught,
  'sgpo': sgpo,
  'sgpo+step2': { ...sgpo, rounds: 2 },
  'sgpo-separate': { ...sgpo, start: 'pi0' },
  'sgpo-external': { ...sgpo, start: 'pi0', targets: ['external'] },
  'sgpo-v2': { ...sgpo, targets: ['external'] },
  'sgpo-offpolicy': { ...sgpo, chosen: 'reference', refiner: null, referenceInRefining: null },
  'sgpo-all-ref': { ...sgpo, referenceInTraining: true },
  'sgpo-no-ref': { ...sgpo, referenceInRefining: false },
};

let fleet: Fleet;
const runs = new Map<string, { readonly detail: RunDetail; readonly lineage: Lineage }>();
let study: Study;

beforeAll(async () => {
  fleet = await startFleet();
  const created = await fleet.call<Study>('POST', '/v1/studies', { name: 'all presets', base: fleet.everything(), presets: presetNames });
  expect(created).toMatchObject({ status: 201 });
  for (const run of created.body.runs) {
    const { detail } = await fleet.wait(run.id);
    runs.set(detail.preset, { detail, lineage: await fleet.client.lineage(run.id) });
  }
  ({ body: study } = await fleet.call<Study>('GET', `/v1/studies/${created.body.id}`));
}, 900_000);
afterAll(async () => { await fleet.stop(); });

const stepOf = (preset: string, key: string) => runs.get(preset)!.detail.steps.find((step) => step.key === key);
const output = (preset: string, key: string): string => stepOf(preset, key)!.output!;
const text = (messages: unknown): string => (messages as { content: string }[]).map(({ content }) => content).join('\n');
/** Digests that the tasks of a step read under a role. */
const reads = (preset: string, stepKey: string, role: string): string[] =>
  [...new Set(runs.get(preset)!.lineage.links.filter((link) => link.direction === 'in' && link.stepKey === stepKey && link.role === role).map(({ digest }) => digest))];

test('the study succeeds', () => {
  expect(Object.fromEntries([...runs].map(([preset, { detail }]) => [preset, detail.failure ?? detail.state]))).toEqual(Object.fromEntries(presetNames.map((name) => [name, 'succeeded'])));
  expect(study.state).toBe('succeeded');
});

test('no two presets sample or ask for the same thing twice', () => {
  const shards = [...runs.values()].flatMap(({ detail }) => detail.steps.filter(({ kind }) => kind === 'generate' || kind === 'teach')
    .flatMap((step) => step.tasks.filter(({ role }) => role === 'shard').map((task) => ({ step: step.key, kind: step.kind, state: task.state, output: task.output, posFrom: task.posFrom }))));
  const executed = shards.filter(({ state }) => state === 'succeeded');
  // y₀, 2 answers of the teacher; y of π₀, of three improvers, and of round 1; y⁺ of six pairings, and of round 2; answers of 14 models to the held-out prompts.
  const steps = { y0: 1, teach: 2, y: 5, yplus: 7, evaluation: 14 };
  const shardsOf = (rows: number): number => 1 + Math.ceil((rows - 4) / 8); // the first is one block of 4
  expect(executed.filter(({ kind }) => kind === 'teach')).toHaveLength(steps.teach * shardsOf(12));
  expect(executed.filter(({ kind }) => kind === 'generate')).toHaveLength((steps.y0 + steps.y + steps.yplus) * shardsOf(12) + steps.evaluation * shardsOf(4));
  expect(shards.every(({ state }) => state === 'succeeded' || state === 'cached')).toBe(true);
});

describe.each(presetNames)('%s', (preset) => {
  const want = expected[preset];

  test('trains an improver on the targets it names, with or without the reference in the prompt', async () => {
    if (want.targets.length === 0) {
      expect(stepOf(preset, 'train-improver')).toBeUndefined();
      return;
    }
    const answers = new Map<string, Set<string>>();
    for (const target of both) {
      if (!want.targets.includes(target)) { expect(stepOf(preset, `teach-${target}`)).toBeUndefined(); continue; }
      answers.set(target, new Set((await fleet.rows(output(preset, `teach-${target}`))).map((row) => row['text'] as string)));
    }
    const rows = await fleet.rows(output(preset, 'ingest-improver'));
    const drafts = new Map((await fleet.rows(output(preset, 'generate-y0'))).map((row) => [row['id'], row['text'] as string]));
    const trained = await fleet.rows(output(preset, 'build-sft'));
    expect(trained.length).toBeGreaterThan(0);
    for (const row of trained) {
      const { id } = row;
      const prompt = text(row['prompt']);
      expect(prompt).toContain(drafts.get(id));
      expect(prompt.includes(`\n${rows.find((source) => source['id'] === id)!['response'] as string}\n`)).toBe(want.referenceInTraining);
      expect([...answers.values()].some((set) => set.has(text(row['completion'])))).toBe(true);
    }
    expect(reads(preset, 'train-improver', 'model')).toEqual([output(preset, 'train-sft')]);
  });

  test('pairs what its row of the table says, and optimises against the model the round starts from', async () => {
    if (want.rounds === 0) {
      expect(runs.get(preset)!.detail.steps.filter(({ kind }) => kind === 'dpo' || kind === 'pair')).toEqual([]);
      return;
    }
    let start = output(preset, want.start === 'pi0' ? 'train-sft' : 'train-improver');
    for (let round = 1; round <= want.rounds; round += 1) {
      const r = String(round);
      const pairs = await fleet.rows(output(preset, `pair-r${r}`));
      expect(pairs.length).toBeGreaterThan(0);
      const given = want.chosen === 'given';
      const rows = await fleet.rows(output(preset, given ? 'ingest-preferences' : 'ingest-policy'));
      const sampled = given ? [] : await fleet.rows(output(preset, `generate-y-r${r}`));
      const refined = want.chosen === 'refined' ? await fleet.rows(output(preset, `generate-yplus-r${r}`)) : [];
      for (const pair of pairs) {
        const of = (table: typeof rows) => table.find(({ id }) => id === pair['id'])!;
        expect(pair['prompt']).toEqual(of(rows)['prompt']);
        expect(text(pair['rejected'])).toBe(given ? of(rows)['rejected'] : of(sampled)['text']);
        expect(text(pair['chosen'])).toBe(given ? of(rows)['chosen'] : want.chosen === 'reference' ? of(rows)['response'] : of(refined)['text']);
      }
      if (!given) expect(reads(preset, `generate-y-r${r}`, 'model')).toEqual([start]);
      if (want.refiner !== null) {
        const separate = want.start === 'pi0';
        expect(reads(preset, `generate-yplus-r${r}`, 'model')).toEqual([separate ? output(preset, 'train-improver') : start]);
        for (const digest of reads(preset, `generate-yplus-r${r}`, 'requests')) {
          for (const request of await fleet.rows(digest)) {
            const source = rows.find(({ id }) => request['id'] === id)!;
            expect(text(request['messages'])).toContain(sampled.find(({ id }) => request['id'] === id)!['text'] as string);
            expect(text(request['messages']).includes(`\n${source['response'] as string}\n`)).toBe(want.referenceInRefining);
          }
        }
      }
      expect(reads(preset, `dpo-r${r}`, 'policy')).toEqual([start]);
      expect(reads(preset, `dpo-r${r}`, 'reference')).toEqual([start]);
      start = output(preset, `dpo-r${r}`);
    }
  });

  test('has a report whose counts add up', async () => {
    const report = await fleet.client.report(runs.get(preset)!.detail.id) as unknown as { steps: { key: string; rowsIn: number | null; rowsOut: number | null; dropped: Record<string, number> }[] };
    for (const { key, rowsIn, rowsOut, dropped } of report.steps) {
      if (rowsIn !== null) expect([key, rowsIn]).toEqual([key, rowsOut! + Object.values(dropped).reduce((sum, n) => sum + n, 0)]);
    }
  });
});

test('the report sets the methods side by side, beside the numbers of the paper', async () => {
  const markdown = await (await fetch(`${fleet.stack.url}/v1/studies/${study.id}/report`, { headers: { authorization: `Bearer ${fleet.token}`, accept: 'text/markdown' } })).text();
  for (const preset of presetNames) expect(markdown).toContain(preset);
  expect(markdown).toContain('Table 3');
});
