import { presetNames, presets, SgpoError } from '@sgpo/core';
import type { RunSpec } from '@sgpo/core';
import { z } from 'zod';
import { closest } from './closest.ts';
import { conflictsOf, defaultDecoding, defaultWarmupRatio } from './run-spec-conflicts.ts';
import { problem, problemsOf } from './problems.ts';

const isStorable = (text: string): boolean => text.isWellFormed() && !text.includes('\0');
/** Text that Postgres can hold. */
const text = (maximum = 4096): z.ZodString => z.string().min(1).max(maximum)
  .refine(isStorable, { error: 'holds a NUL or half of a surrogate pair', params: { fix: 'Remove that character' } });

const count = (minimum: number, maximum: number): z.ZodInt => z.int().min(minimum).max(maximum);
const positive = (maximum: number): z.ZodNumber => z.number().positive().max(maximum);
const dtype = z.enum(['float32', 'bfloat16']);
const epochs = positive(100).describe('Passes over the data set');
const temperature = z.number().min(0).max(2).describe('0 is greedy');
const topP = positive(1);

const dataset = z.strictObject({
  path: text().describe('JSONL or Parquet file in one of the allowed folders'),
  limit: count(1, 2 ** 31 - 1).nullable().default(null).describe('Keep the first rows only'),
}).meta({ id: 'DatasetSource' });

const recipe = z.strictObject({
  improver: z.enum(['shared', 'separate']).describe('shared: improver and policy in one set of weights'),
  targets: z.array(z.enum(['improved', 'external'])).min(1).max(2)
    .refine((targets) => new Set(targets).size === targets.length, { error: 'names a target twice', params: { fix: 'Name each target once' } })
    .describe('Targets of improver training: ŷ and y_ext'),
  referenceInTraining: z.boolean().describe('The reference response stands in the training prompt'),
  referenceInRefining: z.boolean().describe('The reference response stands in the refining prompt'),
  chosen: z.enum(['refined', 'reference']).describe('Chosen side of the pairs: y⁺ or the reference response'),
  rounds: count(1, 10).describe('Rounds of Step 2'),
}).meta({ id: 'Recipe' });

/** Names a variable; a key itself would be stored with the run and shown by the API. */
const keyReference = z.string().max(4096).refine((value) => /^env:[A-Za-z_][A-Za-z0-9_]{0,199}$/.test(value), {
  error: 'must name an environment variable of the service; keys are never written into a spec',
  params: { fix: 'Set the key as a variable of the orchestrator and write env:NAME' },
}).refine((value) => !['env:DATABASE_URL', 'env:REDIS_URL', 'env:SGPO_TOKEN'].includes(value), {
  error: 'names a setting of the service itself', params: { fix: 'Name the variable that holds the key of the teacher' },
});

const baseUrl = text().superRefine((value, context) => {
  const url = URL.canParse(value) ? new URL(value) : null;
  const refuse = (message: string, fix: string): void => { context.addIssue({ code: 'custom', message, params: { fix } }); };
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) refuse('is not an http or https address', 'Give the base URL of an OpenAI-compatible API, such as https://host/v1');
  else if (url.username !== '' || url.password !== '') refuse('holds credentials', 'Remove them and name the key with teacher.apiKey: env:NAME');
  else if (url.search !== '' || url.hash !== '') refuse('holds a query or a fragment', 'Give the address up to the path, such as https://host/v1');
});

const teacher = z.strictObject({
  baseUrl: baseUrl.describe('Base URL of an OpenAI-compatible API, ending in /v1'),
  model: text(),
  apiKey: keyReference.nullable().default(null).describe('env:NAME of the variable with the key, or null'),
  temperature: temperature.default(defaultDecoding.temperature),
  topP: topP.default(defaultDecoding.topP),
  maxTokens: count(1, 65_536).default(1024),
  seed: count(0, 2 ** 31 - 1).nullable().default(null),
  concurrency: count(1, 256).default(8),
  timeoutSeconds: positive(3600).default(120),
  maxAttempts: count(1, 20).default(5),
  price: z.strictObject({ promptPerMillion: z.number().min(0).max(1e6), completionPerMillion: z.number().min(0).max(1e6) }).nullable().default(null),
}).meta({ id: 'Teacher' });

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
  factor: positive(1000).default(1.5).describe("Width of Tukey's fences in interquartile ranges"),
  minTokens: count(0, 100_000).default(3),
  includeEndToken: z.boolean().default(false),
}).meta({ id: 'Filter' });

const trainingFields = {
  batchSize: count(1, 1_048_576).default(128).describe('Rows of one optimiser step'),
  microBatchSize: count(1, 65_536).default(8).describe('Rows of one forward pass; divides batchSize'),
  maxLength: count(2, 1_048_576).default(2048),
  warmupRatio: z.number().min(0).max(1).default(defaultWarmupRatio),
  scheduler: z.enum(['cosine', 'linear', 'constant', 'constant_with_warmup']).default('cosine'),
  weightDecay: z.number().min(0).max(1).default(0),
  maxGradNorm: positive(1000).default(1),
  dtype: dtype.default('bfloat16'),
  saveDtype: dtype.default('bfloat16'),
  gradientCheckpointing: z.boolean().default(true),
};

const improverTraining = z.strictObject({ epochs: epochs.default(3), learningRate: positive(1).default(2e-5), ...trainingFields }).meta({ id: 'Training' });

const preference = z.strictObject({
  epochs: epochs.default(1), learningRate: positive(1).default(5e-7), ...trainingFields,
  loss: z.enum(['sigmoid', 'hinge', 'ipo']).default('sigmoid').describe('sigmoid is DPO'),
  beta: positive(100).default(0.01),
  labelSmoothing: z.number().min(0).lt(0.5).default(0),
  reference: z.enum(['round', 'initial']).default('round').describe('round: the checkpoint the round starts from; initial: π₀ in every round'),
}).meta({ id: 'Preference' });

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
  model: z.strictObject({ path: text().describe('Hugging Face folder of π₀ in one of the allowed folders') }),
  data: z.strictObject({ improver: dataset, policy: dataset, heldOut: dataset.nullable().default(null) }),
  recipe,
  teacher,
  sampling: sampling.prefault({}),
  evaluation,
  filter: filter.prefault({}),
  improverTraining: improverTraining.prefault({}),
  preference: preference.prefault({}),
  execution: execution.prefault({}),
}).meta({ id: 'RunSpec' });

/**
 * The body of POST /v1/runs. Defaults are the paper's numbers (arXiv 2507.20181, Section 4); `recipe` overrides single options of the preset,
 * `evaluation.maxNewTokens` is that of `sampling` unless given.
 */
export const runSpecBodySchema = runSpecSchema.extend({
  recipe: recipe.partial().prefault({}),
  evaluation: evaluation.partial({ maxNewTokens: true }).prefault({}),
}).meta({ id: 'NewRun' });

/** What a client may send: every key with a default may be left out. */
export type RunSpecBody = z.input<typeof runSpecBodySchema>;

const secrets = ['teacher', 'teacher.apiKey', 'teacher.baseUrl'];

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
  const { recipe: changes, evaluation: decoding, ...rest } = parsed.data;
  const spec: RunSpec = {
    ...rest,
    recipe: { ...presets[rest.preset].options, ...withoutUndefined(changes) },
    evaluation: { ...decoding, maxNewTokens: decoding.maxNewTokens ?? rest.sampling.maxNewTokens },
  };
  const conflicts = conflictsOf(spec);
  if (conflicts.length > 0) {
    throw new SgpoError('SPEC.CONFLICT', conflicts[0]?.message ?? '', { remedy: 'Change one of the fields that contradict each other', problems: conflicts });
  }
  return spec;
}

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
