import { flaws } from '../detect.ts';
import { presetOf, presets, trainsImprover, usesGivenPairs, usesPolicyData } from '../recipes.ts';
import type { PresetName } from '../recipes.ts';
import type { DatasetSource, PreferenceOptions, RunSpec, TrainingOptions } from '../spec.ts';

const training: TrainingOptions = {
  epochs: 3, learningRate: 2e-5, batchSize: 128, microBatchSize: 2, maxLength: 2_048, warmupRatio: 0.1, scheduler: 'cosine', weightDecay: 0, maxGradNorm: 1,
  dtype: 'float32', saveDtype: 'bfloat16', gradientCheckpointing: false, lora: null, publish: 'last', validation: null,
};
const preference: PreferenceOptions = {
  ...training, epochs: 1, learningRate: 5e-7, trainer: 'dpo', loss: ['sigmoid'], lossWeights: null, beta: 0.01, labelSmoothing: 0, reference: 'round',
  ldAlpha: null, simpoGamma: null, cpoAlpha: null, desirableWeight: null, undesirableWeight: null, discopopTau: null,
};

/** A data set on disk for unit tests. */
export const sampleSource = (path: string): DatasetSource =>
  ({ path, hub: null, dataset: null, limit: null, format: 'auto', columns: null, malformed: 'drop', dropFlagged: [], sha256: null });

/** A whole spec for unit tests: the sgpo preset with its data sets and a held-out one. */
export const sampleSpec = (overrides: Partial<RunSpec> = {}): RunSpec => ({
  name: null, preset: 'sgpo', seed: 7, model: { path: '/models/base', artifact: null, from: null },
  data: {
    sft: null, improver: sampleSource('improver.jsonl'), policy: sampleSource('policy.jsonl'), preferences: null, heldOut: sampleSource('held-out.jsonl'),
    heldOutOverlap: 'drop', scores: 'check',
  },
  recipe: presets.sgpo.options,
  teacher: {
    source: 'endpoint', baseUrl: 'http://127.0.0.1:8080/v1', model: 'teacher', weights: null, apiKey: null, temperature: 0.7, topP: 0.9, maxTokens: 512, seed: 1, mode: 'requests',
    concurrency: 2, timeoutSeconds: 60, maxAttempts: 5, limits: { requestsPerMinute: null, tokensPerMinute: null }, price: null, budget: { tokens: null, cost: null },
  },
  sampling: { temperature: 0.7, topP: 0.9, maxNewTokens: 96, maxLength: 2_048, blockRows: 4, dtype: 'float32' },
  evaluation: { temperature: 0, topP: 1, maxNewTokens: 96 },
  filter: { factor: 1.5, minTokens: 4, includeEndToken: false },
  rules: { unfinished: 'drop', targetFlaws: flaws, chosenFlaws: flaws, copyOfDraft: 'drop', replay: 0 },
  sftTraining: { ...training, epochs: 1, chatTemplate: 'auto' },
  improverTraining: training, preference,
  execution: { shardRows: 256, cache: true, checkpointSeconds: 60 },
  preview: null,
  ...overrides,
});

/** A spec of a preset as a user would send it: with the sets and the teacher its recipe reads, and no others; conversations only where there is nothing else to train. */
export function presetSpec(preset: PresetName, overrides: Partial<RunSpec> = {}): RunSpec {
  const { options: recipe, preference: defaults = {} } = presetOf(preset);
  const spec = sampleSpec();
  const trains = trainsImprover(recipe);
  return {
    ...spec, preset, recipe, teacher: trains ? spec.teacher : null, preference: { ...spec.preference, ...defaults },
    data: {
      ...spec.data, sft: recipe.rounds === 0 && !trains ? sampleSource('conversations.jsonl') : null, improver: trains ? spec.data.improver : null,
      policy: usesPolicyData(recipe) ? spec.data.policy : null, preferences: usesGivenPairs(recipe) ? sampleSource('preferences.jsonl') : null,
    },
    ...overrides,
  };
}
