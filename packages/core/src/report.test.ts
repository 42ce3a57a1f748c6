import { describe, expect, it } from 'vitest';
import { presetNames, trainsImprover } from './recipes.ts';
import { renderReport } from './report-markdown.ts';
import { assertSums } from './report-stats.ts';
import { buildReport } from './report.ts';
import type { RunSpec } from './spec.ts';
import { edits, filterStats, healthy, points, reportInput as input, reportSteps as steps, statistics } from './testing/sample-report.ts';
import { presetSpec, sampleSpec } from './testing/sample-spec.ts';

const codes = (built: ReturnType<typeof buildReport>) => built.warnings.map(({ code }) => code);

describe('buildReport', () => {
  const report = buildReport(input());

  it('has the keys it promises', () => {
    expect(Object.keys(report)).toEqual([
      'run', 'recipe', 'rules', 'steps', 'filter', 'replay', 'editDistance', 'lengths', 'rounds', 'trainings', 'heldOut', 'teacher', 'artifacts', 'versions', 'provenance', 'warnings',
    ]);
    expect(report.run).toEqual({ id: 'run_1', preset: 'sgpo', status: 'succeeded', seconds: 60, seed: 7 });
    expect(report.steps.map(({ kind }) => kind)).not.toContain('report');
    expect(report.steps.find(({ key }) => key === 'filter')).toEqual({ key: 'filter', kind: 'filter', status: 'succeeded', tasks: 2, cached: 1, seconds: 2.5, rowsIn: 48, rowsOut: 45, dropped: { empty_prompt: 3 }, flagged: {} });
    expect(report.filter?.improved).toEqual({ q1: 2, q3: 4, low: -1, high: 7, total: 48, kept: 45, tooShort: 1 });
    expect(report.rounds).toEqual([{ round: 1, trainer: 'dpo', losses: ['sigmoid'], policy: 'improver', reference: 'improver', pairs: 45, firstLoss: Math.LN2, firstMargin: 0, finalLoss: 0.6, rewardAccuracy: 0.7, rewardMargin: 0.2, chosenLogp: -49, rejectedLogp: -62 }]);
    expect(report.heldOut.map(({ name, title }) => [name, title])).toEqual([['pi0', 'π₀'], ['improver', 'π* (improver)'], ['round1', 'after round 1']]);
    expect(report.heldOut[0]?.measures).toEqual({ referencePerplexity: 9, chrf: 28, length: 60, unfinished: 0.2 });
    expect(report.teacher).toEqual({
      source: 'endpoint', model: 'teacher', mode: 'requests', calls: 80, reused: 16, batches: 4, promptTokens: 2_000, completionTokens: 1_000, cost: 0.5, costUnknown: null,
      budget: { tokens: null, cost: null }, budgetPauses: 0,
    });
    expect(report.steps.find(({ key }) => key === 'ingest-policy')?.flagged).toEqual({ zero_width: 3 });
    expect(report.steps.find(({ key }) => key === 'build-sft')?.flagged).toEqual({ unfinished_kept: 2 });
    expect(report.replay).toBeNull();
    expect(report.artifacts[0]).toEqual({ role: 'generate-y0', kind: 'table', digest: 'a'.repeat(64), path: '/store/aa', rows: 48, bytes: 1_000 });
    expect(report.versions).toEqual({ torch: '2.13.0' });
    expect(report.editDistance.rounds[0]?.chosenToRejected).toEqual(edits);
    expect(report.lengths.rounds[0]).toEqual({ round: 1, chosen: 120, rejected: 100, ratio: 1.2 });
  });
  it('says of each artifact what made it', () => {
    expect(report.provenance[0]).toMatchObject({ role: 'generate-y0', seed: 7, engine: 'transformers', details: { torch: '2.13.0' } });
    expect(report.provenance[0]?.promptHash).toMatch(/^[0-9a-f]{64}$/);
    expect(report.provenance[1]?.seed).toBeGreaterThanOrEqual(7);
    expect(report.provenance[2]).toMatchObject({ seed: null, promptHash: null, engine: null, details: {} });
  });
  it('survives JSON', () => { expect(JSON.parse(JSON.stringify(report))).toEqual(report); });
  it('reports every preset, each with what it has', () => {
    for (const name of presetNames) {
      const spec = presetSpec(name);
      const built = buildReport(input({}, spec));
      const text = renderReport(built);
      const trains = trainsImprover(spec.recipe);
      expect(built.rounds).toHaveLength(spec.recipe.rounds);
      expect(built.heldOut).toHaveLength(1 + (trains ? 1 : 0) + spec.recipe.rounds);
      expect(built.warnings.filter(({ code }) => code !== 'mostly_unfinished')).toEqual([]);
      expect(built.trainings.map(({ step }) => step)).toEqual([
        ...(name === 'sft' ? ['train-sft'] : []), ...(trains ? ['train-improver'] : []), ...Array.from({ length: spec.recipe.rounds }, (_, index) => `dpo-r${String(index + 1)}`),
      ]);
      expect([built.filter, built.teacher, built.rules.filter, built.rules.targetFlaws].map((part) => part !== null)).toEqual([trains, trains, trains, trains]);
      expect(built.rules.chosenFlaws !== null).toBe(spec.recipe.rounds > 0 && spec.recipe.chosen === 'refined');
      expect(built.rules.scores !== null).toBe(name === 'dpo');
      expect(built.rounds.every(({ policy, reference }) => policy !== '' && reference === policy)).toBe(true);
      for (const [heading, present] of [['## What moved', true], ['## Improver training set', trains], ['## Teacher', trains], ['## Preference pairs', spec.recipe.rounds > 0], ['Preference optimisation', spec.recipe.rounds > 0]] as const) {
        expect(text.includes(heading), `${name}: ${heading}`).toBe(present);
      }
      expect(JSON.parse(JSON.stringify(built))).toEqual(built);
    }
  });
  it('leaves the base before Step 0 out of the held-out models', () => {
    expect(buildReport(input({}, presetSpec('sft'))).heldOut.map(({ name }) => name)).toEqual(['pi0']);
  });
  it('does without a held-out set, metrics, stats and a known price', () => {
    const spec = sampleSpec({ data: { ...sampleSpec().data, heldOut: null } });
    const bare = buildReport(input({ metrics: [], artifacts: [], steps: steps(spec).map((step) => ({ ...step, state: 'running', stats: null, rowsIn: undefined, rowsOut: undefined, dropped: undefined, endedAt: null })) }, spec));
    expect(bare).toMatchObject({ run: { status: 'running' }, filter: { improved: null, external: null }, rules: { heldOutOverlap: null }, warnings: [] });
    expect(bare.heldOut.map(({ measures }) => measures)).toEqual([null, null, null]);
    expect(bare.trainings.map(({ updates, parameters, best }) => [updates, parameters, best])).toEqual([[null, null, null], [null, null, null]]);
    expect(renderReport(bare)).toContain('cannot say whether its models got better');
    expect(renderReport(bare)).toContain('No row was left out');
  });
  it('refuses stats of another shape, naming step and field', () => {
    const broken = steps(sampleSpec()).map((step) => (step.key === 'filter' ? { ...step, stats: { improved: { ...filterStats, q1: 'two' } } } : step));
    expect(() => buildReport(input({ steps: broken }))).toThrow(/"filter": q1 is string/);
  });
});

describe('the teacher', () => {
  const unpriced = (rest: Partial<NonNullable<RunSpec['teacher']>>) => {
    const spec = sampleSpec({ teacher: { ...sampleSpec().teacher!, ...rest } });
    return buildReport(input({ steps: steps(spec).map((step) => (step.key === 'teach-external' ? { ...step, stats: { ...step.stats, cost: null } } : step)) }, spec));
  };
  it('has an unknown cost for one of two reasons', () => {
    expect(unpriced({}).teacher).toMatchObject({ cost: null, costUnknown: 'no price is known for "teacher"; give teacher.price' });
    expect(unpriced({ price: { promptPerMillion: 1, completionPerMillion: 2 } }).teacher).toMatchObject({ cost: null, costUnknown: 'the teacher answered without counting its tokens' });
    expect(renderReport(unpriced({}))).toContain('The cost is unknown: no price is known for "teacher"');
  });
  it('tells the budget as it stands, and how often it stopped the run', () => {
    const run = { ...input().run, budget: { tokens: 9_000, cost: null } };
    const text = renderReport(buildReport(input({ run, budgetPauses: 2 })));
    expect(text).toContain('Budget: 9000 tokens; the run paused 2 times until it was raised.');
    expect(renderReport(buildReport(input({ run })))).toContain('it was never reached');
    expect(renderReport(buildReport(input()))).not.toContain('Budget');
  });
  it('may be weights of the fleet or the policy: samples, which cost nothing a call', () => {
    for (const source of ['fleet', 'policy'] as const) {
      const teacher = { ...sampleSpec().teacher!, source, baseUrl: null, model: null, weights: source === 'fleet' ? { path: '/models/big', artifact: null, from: null } : null };
      const spec = sampleSpec({ teacher });
      const tokens = { promptTokens: 100, completionTokens: 50, finished: 40, unfinished: 5 };
      const sampled = steps(spec).map((step) => (step.key.startsWith('teach-') ? { ...step, stats: tokens } : step));
      const built = buildReport(input({ steps: sampled }, spec));
      expect(built.teacher).toMatchObject({ source, mode: null, calls: 90, reused: 0, batches: 0, promptTokens: 200, completionTokens: 100, cost: 0, costUnknown: null });
      expect(renderReport(built)).toContain(source === 'fleet' ? 'Weights that the workers sample.' : 'The initial policy itself.');
      const cached = sampled.map((step) => ({ ...step, tasks: [{ state: 'cached' as const }] }));
      expect(buildReport(input({ steps: cached }, spec)).teacher).toMatchObject({ calls: 0, reused: 90, promptTokens: 0 });
    }
  });
});

describe('trainings', () => {
  it('tell what was asked for and what their statistics say', () => {
    const lora = { rank: 8, alpha: 16, dropout: 0, targetModules: [] };
    const validation = { share: 0.05, everySteps: 10, measure: 'loss' } as const;
    const built = buildReport(input({}, sampleSpec({ preference: { ...sampleSpec().preference, lora, validation, publish: 'best' } })));
    expect(built.trainings[1]).toEqual({
      step: 'dpo-r1', title: 'preference optimisation, round 1', published: 'best', lora, validation, updates: 20, parameters: { trained: 1_000, total: 4_000 },
      measurements: statistics.measurements, best: { step: 10, value: 0.61 },
    });
    const text = renderReport(built);
    expect(text).toContain('| dpo-r1 | LoRA of rank 8 | 1000 of 4000 (25.0 %) | 20 | best |');
    expect(text).toContain('| 10 | 0.6100 | best |');
    expect(text).toContain('| train-improver | every weight | – | – | last |');
  });
  it('refuse statistics of another shape', () => {
    for (const training of [{ ...statistics, measurements: 'none' }, { ...statistics, measurements: [1] }, { ...statistics, best: { step: 1 } }, { ...statistics, steps: 'all' }]) {
      expect(() => buildReport(input({ artifacts: [{ role: 'dpo-r1', kind: 'model', digest: 'b'.repeat(64), path: '/b', rows: null, bytes: 1, training }] }))).toThrow(/"dpo-r1"/);
    }
  });
});

describe('rows', () => {
  it('have each reason with its meaning, flags apart', () => {
    const text = renderReport(buildReport(input()));
    expect(text).toContain('| pair-r1 | dropped | empty_prompt | 3 | nothing is asked: the prompt is missing or blank |');
    expect(text).toContain('| ingest-policy | kept, flagged | zero_width | 3 | the row holds invisible characters |');
    expect(text).toContain('| rules.targetFlaws | empty, invalid_unicode,');
    expect(text).toContain('| filter.factor | 1.5 |');
    expect(text).toContain('| data.policy.dropFlagged | none |');
  });
  it('say that nothing was fenced off, and what was replayed', () => {
    const spec = sampleSpec({ filter: { ...sampleSpec().filter, factor: null }, rules: { ...sampleSpec().rules, replay: 0.2, targetFlaws: [] } });
    const open = steps(spec).map((step) => (step.key === 'filter' ? { ...step, stats: { improved: { ...filterStats, low: null, high: null }, external: null } } : step));
    const built = buildReport(input({ steps: open }, spec));
    expect(built.replay).toEqual({ wanted: 9, rows: 9 });
    const text = renderReport(built);
    expect(text).toContain('| ŷ (improved) | 48 | 45 | 1 | 2.000 | 4.000 | none |');
    expect(text).toContain('9 of 9 wanted rows are plain prompts');
    expect(text).toContain('| rules.targetFlaws | none |');
  });
});

describe('assertSums', () => {
  it('lists the steps whose rows do not add up', () => {
    const off = buildReport(input({ steps: steps(sampleSpec()).map((step) => (step.key === 'pair-r1' ? { ...step, rowsOut: 44 } : step)) }));
    expect(assertSums(off)).toEqual(['pair-r1']);
    expect(codes(off)).toContain('sums_do_not_add_up');
    expect(assertSums(buildReport(input()))).toEqual([]);
  });
});

describe('warnings', () => {
  const withMetrics = (values: Record<string, [number, number][]>, spec = sampleSpec()) => codes(buildReport(input({ metrics: points('dpo-r1', { ...healthy, ...values }) }, spec)));

  it.each<[string, Record<string, [number, number][]>]>([
    ['first_loss_not_ln2', { loss: [[0, 0.7], [20, 0.6]] }], ['first_loss_unknown', { loss: [[20, 0.6]] }], ['first_margin_not_0', { 'rewards/margins': [[0, 0.01], [20, 0.2]] }],
    ['likelihood_displacement', { 'logps/chosen': [[0, -50], [20, -55]] }], ['likelihood_displacement', { 'rewards/chosen': [[0, 0], [20, -0.1]] }], ['few_updates', { loss: [[0, Math.LN2], [7, 0.6]] }],
  ])('%s', (code, values) => { expect(withMetrics(values)).toContain(code); });
  it('believes the chosen reward before raw log-probabilities of different batches', () => {
    expect(withMetrics({ 'logps/chosen': [[0, -50], [20, -55]], 'rewards/chosen': [[0, 0], [20, 0.1]] })).not.toContain('likelihood_displacement');
  });
  it('sees no displacement where margins did not grow', () => {
    expect(withMetrics({ 'logps/chosen': [[0, -50], [20, -55]], 'rewards/margins': [[0, 0], [20, -0.1]] })).not.toContain('likelihood_displacement');
  });
  it('expects ln 2 only where policy and reference are one', () => {
    const spec = sampleSpec({ preference: { ...sampleSpec().preference, reference: 'initial' } });
    expect(withMetrics({ loss: [[0, 0.9], [20, 0.6]] }, spec)).not.toContain('first_loss_not_ln2');
  });
  const withPreference = (rest: Partial<RunSpec['preference']>) => sampleSpec({ preference: { ...sampleSpec().preference, ...rest } });
  it.each<[string, Partial<RunSpec['preference']>, string[], string[]]>([
    ['hinge', { loss: ['hinge'] }, ['first_margin_not_0'], ['first_loss_not_ln2']], ['several losses', { loss: ['sigmoid', 'sft'] }, ['first_margin_not_0'], ['first_loss_not_ln2']],
    ['a weight', { lossWeights: [0.5] }, ['first_margin_not_0'], ['first_loss_not_ln2']], ['kto', { trainer: 'kto', loss: ['kto'] }, ['first_margin_not_0'], ['first_loss_not_ln2']],
    ['cpo, which has no reference', { trainer: 'cpo', loss: ['sigmoid'] }, [], ['first_loss_not_ln2', 'first_margin_not_0', 'first_loss_unknown']],
    ['orpo', { trainer: 'orpo', loss: ['orpo'] }, [], ['first_loss_not_ln2', 'first_margin_not_0', 'first_loss_unknown']],
    ['smoothed labels', { labelSmoothing: 0.1 }, ['first_loss_not_ln2', 'first_margin_not_0'], []],
  ])('%s: the rules of the first step hold where they hold', (_, rest, present, absent) => {
    const found = withMetrics({ 'loss': [[0, 1], [20, 0.6]], 'rewards/margins': [[0, 0.01], [20, 0.2]] }, withPreference(rest));
    expect(found.filter((code) => code.startsWith('first_')).sort()).toEqual([...present].sort());
    for (const code of absent) expect(found).not.toContain(code);
  });
  it('offers an SFT term against displacement, where it was not used', () => {
    const message = (rest: Partial<RunSpec['preference']>) => buildReport(input({ metrics: points('dpo-r1', { ...healthy, 'rewards/chosen': [[0, 0], [20, -0.1]] }) }, withPreference(rest)))
      .warnings.find(({ code }) => code === 'likelihood_displacement')?.message;
    expect(message({})).toContain('preference.loss: [sigmoid, sft]');
    expect(message({ loss: ['sigmoid', 'sft'] })).not.toContain('SFT term');
    expect(message({ trainer: 'cpo', loss: ['simpo'], cpoAlpha: 0 })).toContain('preference.cpoAlpha above 0');
    expect(message({ trainer: 'cpo', loss: ['sigmoid'], cpoAlpha: null })).not.toContain('SFT term');
  });
  it('tells of too few rows to replay, and of evaluation prompts that were kept', () => {
    const spec = sampleSpec({ rules: { ...sampleSpec().rules, replay: 0.5 } });
    const short = steps(spec).map((step) => (step.key === 'build-sft' ? { ...step, stats: { ...step.stats, replay: { wanted: 9, rows: 4 } } } : step.key === 'ingest-policy' ? { ...step, stats: { ...step.stats, overlaps: 2 } } : step));
    const built = buildReport(input({ steps: short }, spec));
    expect(built.warnings).toEqual(expect.arrayContaining([
      { code: 'replay_short', step: 'build-sft', message: 'build-sft: 9 rows were to be replayed, and 4 answers could be' },
      expect.objectContaining({ code: 'evaluation_prompts_kept', step: 'ingest-policy' }),
    ]));
  });
  it('tells of long chosen answers, cut answers and mixed versions', () => {
    const long = steps(sampleSpec()).map((step) => (step.key === 'pair-r1' ? { ...step, stats: { ...step.stats, lengths: { chosen: 200, rejected: 100, ratio: 2 } } } : step));
    const artifacts = input().artifacts.map((artifact, index) => ({ ...artifact, meta: { torch: `2.${String(index)}` } }));
    expect(codes(buildReport(input({ steps: long, artifacts })))).toEqual(expect.arrayContaining(['length_bias', 'mostly_unfinished', 'mixed_versions']));
  });
});

describe('renderReport', () => {
  const text = renderReport(buildReport(input()));
  it('says what moved and what did not', () => {
    expect(text).toContain('π* (improver) against π₀: reference perplexity +6.0 %, worse; chrF unchanged within 1 %.');
    expect(text).toContain('Round 1: the training loss fell by 0.0931.');
    expect(text).toContain('45 held-out prompts, one run with one seed: these differences come without error bars');
    expect(text).toContain('Its whole spec: GET /v1/runs/run_1.');
  });
  it('has no distances of what the recipe does not make', () => {
    expect(text).toContain('| ŷ – y₀ |');
    const external = input({}, presetSpec('sgpo-external'));
    const drop = external.steps.map((step) => (step.key === 'build-sft' ? { ...step, stats: { ...step.stats, editDistance: { improvedToDraft: null, improvedToReference: null } } } : step));
    expect(renderReport(buildReport({ ...external, steps: drop }))).not.toContain('| ŷ – y₀ |');
  });
  it('is tables of equal width', () => {
    for (const block of text.split('\n\n').filter((part) => part.startsWith('|'))) {
      const widths = block.trim().split('\n').map((line) => line.replaceAll(String.raw`\|`, '').split('|').length);
      expect(new Set(widths).size).toBe(1);
    }
  });
});
