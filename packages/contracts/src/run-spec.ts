import { flaws, presetNames, presetOf, SgpoError } from '@sgpo/core';
import type { RunSpec } from '@sgpo/core';
import { z } from 'zod';
import { closest } from './closest.ts';
import { conflictsOf } from './run-spec-conflicts.ts';
import { problem, problemsOf } from './problems.ts';
import { data } from './spec-data.ts';
import { count, defaultDecoding, dtype, modelSource, positive, share, temperature, text, topP } from './spec-fields.ts';
import { teacher } from './spec-teacher.ts';
import { improverTraining, lossesOrOne, preference, sftTraining } from './spec-training.ts';

const recipe = z.strictObject({
  improver: z.enum(['shared', 'separate', 'kept', 'none']).describe('shared: improver and policy in one set of weights; kept: the model is both already'),
  targets: z.array(z.enum(['improved', 'external'])).max(2)
    .refine((targets) => new Set(targets).size === targets.length, { error: 'names a target twice', params: { fix: 'Name each target once' } })
    .describe('Targets of improver training: ŷ and y_ext'),
  referenceInTraining: z.boolean().describe('The reference response stands in the training prompt'),
  referenceInRefining: z.boolean().describe('The reference response stands in the refining prompt'),
  chosen: z.enum(['refined', 'reference', 'given']).describe('Chosen side of the pairs: y⁺, the reference response, or that of data.preferences'),
  rejected: z.enum(['sampled', 'given']).describe("Rejected side: the policy's own answer, or that of data.preferences"),
  rounds: count(0, 20).describe('Rounds of preference optimisation; 0: none'),
}).meta({ id: 'Recipe' });

const sampling = z.strictObject({
  temperature: temperature.default(defaultDecoding.temperature),
  topP: topP.default(defaultDecoding.topP),
  maxNewTokens: count(1, 131_072).default(512),
  maxLength: count(2, 1_048_576).default(2048).describe('Tokens of prompt and answer together'),
  blockRows: count(1, 4096).default(32).describe('Rows sampled as one batch'),
  dtype: dtype.default('bfloat16'),
}).meta({ id: 'Sampling' });

const evaluation = z.strictObject({ temperature: temperature.default(defaultDecoding.temperature), topP: topP.default(defaultDecoding.topP), maxNewTokens: count(1, 131_072) }).meta({ id: 'Evaluation' });

const filter = z.strictObject({
  factor: positive(1000).nullable().default(1.5).describe("Width of Tukey's fences in interquartile ranges; null: no fences"),
  minTokens: count(0, 100_000).default(3),
  includeEndToken: z.boolean().default(false),
}).meta({ id: 'Filter' });

const rules = z.strictObject({
  unfinished: z.enum(['drop', 'keep']).default('drop').describe('Answers that reached the token limit'),
  targetFlaws: z.array(z.enum(flaws)).max(flaws.length).default([...flaws]).describe('Flaws that drop a target of improver training'),
  chosenFlaws: z.array(z.enum(flaws)).max(flaws.length).default([...flaws]).describe('Flaws that drop a pair for its chosen side'),
  copyOfDraft: z.enum(['drop', 'keep']).default('drop').describe('Targets equal to their draft'),
  replay: share(0.5).default(0).describe("Share of the improver's training rows that are plain prompts with the policy's own answers"),
}).meta({ id: 'Rules' });

const execution = z.strictObject({
  shardRows: count(1, 1_000_000).default(256).describe('Rounded up to whole blocks'),
  cache: z.boolean().default(true),
  checkpointSeconds: count(0, 86_400).default(600).describe('0: no checkpoints'),
}).meta({ id: 'Execution' });

/** A run spec with everything filled in, as the API shows it. */
export const runSpecSchema = z.strictObject({
  name: text(200).nullable().default(null),
  preset: z.enum(presetNames),
  seed: count(0, 2 ** 31 - 1).default(0),
  model: modelSource.describe('π₀, or the base model when data.sft is given'),
  data: data.prefault({}),
  recipe,
  teacher: teacher.nullable().default(null),
  sampling: sampling.prefault({}),
  evaluation,
  filter: filter.prefault({}),
  rules: rules.prefault({}),
  sftTraining: sftTraining.prefault({}),
  improverTraining: improverTraining.prefault({}),
  preference: preference.prefault({}),
  execution: execution.prefault({}),
  preview: z.strictObject({ rows: count(1, 256).default(10) }).nullable().default(null).describe('Set by previews'),
}).meta({ id: 'RunSpec' });

/**
 * The body of POST /v1/runs. Defaults are the paper's numbers (arXiv 2507.20181, Section 4); `recipe` overrides single options of the preset,
 * `evaluation.maxNewTokens` is that of `sampling` unless given, `preference.beta` and `preference.learningRate` those of the preset.
 */
export const runSpecBodySchema = runSpecSchema.extend({
  recipe: recipe.partial().prefault({}),
  evaluation: evaluation.partial({ maxNewTokens: true }).prefault({}),
  preference: preference.extend({ loss: lossesOrOne.default(['sigmoid']), beta: preference.shape.beta.unwrap().optional(), learningRate: preference.shape.learningRate.unwrap().optional() })
    .meta({ id: 'NewPreference' }).prefault({}),
}).meta({ id: 'NewRun' });

/** What a client may send: every key with a default may be left out. */
export type RunSpecBody = z.input<typeof runSpecBodySchema>;

const secrets = ['teacher', 'teacher.apiKey', 'teacher.baseUrl', ...Object.keys(data.shape).map((name) => `data.${name}.hub.token`)];

/**
 * Checks a body whole and fills every default. Throws SgpoError with all problems found: SPEC.UNKNOWN_PRESET before anything else, SPEC.INVALID for a
 * wrong shape, SPEC.CONFLICT for values that are fine alone but not together.
 */
export function parseRunSpec(body: unknown): RunSpec {
  refuseUnknownPreset(body);
  const parsed = runSpecBodySchema.safeParse(body);
  if (!parsed.success) {
    const problems = problemsOf(parsed.error.issues, { input: body, schema: runSpecBodySchema, secrets, root: 'spec' });
    throw new SgpoError('SPEC.INVALID', `The spec has ${problems.length === 1 ? 'a problem' : `${String(problems.length)} problems`}: ${problems[0]?.message ?? ''}`, {
      remedy: 'Correct the fields that are named and send the spec again', problems,
    });
  }
  const { recipe: changes, evaluation: decoding, preference: { loss, beta, learningRate, ...training }, ...rest } = parsed.data;
  const preset = presetOf(rest.preset);
  const spec: RunSpec = {
    ...rest,
    recipe: { ...preset.options, ...withoutUndefined(changes) },
    evaluation: { ...decoding, maxNewTokens: decoding.maxNewTokens ?? rest.sampling.maxNewTokens },
    preference: {
      ...training, loss: typeof loss === 'string' ? [loss] : loss,
      beta: beta ?? preset.preference?.beta ?? defaultPreference.beta, learningRate: learningRate ?? preset.preference?.learningRate ?? defaultPreference.learningRate,
    },
  };
  const conflicts = conflictsOf(spec);
  if (conflicts.length > 0) {
    throw new SgpoError('SPEC.CONFLICT', conflicts[0]?.message ?? '', { remedy: 'Change one of the fields that contradict each other', problems: conflicts });
  }
  return spec;
}

const defaultPreference = preference.parse({});

function refuseUnknownPreset(body: unknown): void {
  const preset: unknown = typeof body === 'object' && body !== null && 'preset' in body ? body.preset : undefined;
  if (typeof preset !== 'string' || presetNames.some((name) => name === preset)) return;
  const meant = closest(preset, presetNames);
  const fix = `${meant === null ? '' : `Did you mean ${meant}? `}Known presets: ${presetNames.join(', ')}`;
  throw new SgpoError('SPEC.UNKNOWN_PRESET', `There is no preset ${JSON.stringify(preset.slice(0, 80))}`, {
    remedy: fix, problems: [problem('preset', preset, 'preset names no known recipe', fix)],
  });
}

type Defined<T> = { [Key in keyof T]?: Exclude<T[Key], undefined> };

/** Optional keys that are present but undefined would override the preset with nothing. */
function withoutUndefined<T extends object>(value: T): Defined<T> {
  const kept: Defined<T> = {};
  for (const key of Object.keys(value) as (keyof T)[]) {
    const entry = value[key];
    if (entry !== undefined) kept[key] = entry as Exclude<T[keyof T], undefined>;
  }
  return kept;
}
