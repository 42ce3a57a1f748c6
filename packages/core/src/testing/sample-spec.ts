import { presets } from '../recipes.ts';
import type { PreferenceOptions, RunSpec, TrainingOptions } from '../spec.ts';

const training: TrainingOptions = {
  epochs: 3, learningRate: 2e-5, batchSize: 128, microBatchSize: 2, maxLength: 2_048, warmupRatio: 0.1, scheduler: 'cosine', weightDecay: 0, maxGradNorm: 1,
  dtype: 'float32', saveDtype: 'bfloat16', gradientCheckpointing: false,
};
const preference: PreferenceOptions = { ...training, epochs: 1, learningRate: 5e-7, loss: 'sigmoid', beta: 0.01, labelSmoothing: 0, reference: 'round' };

/** A whole spec for unit tests: the sgpo preset with all three data sets. */
export const sampleSpec = (overrides: Partial<RunSpec> = {}): RunSpec => ({
  name: null, preset: 'sgpo', seed: 7, model: { path: '/models/base' },
  data: { improver: { path: 'improver.jsonl', limit: null }, policy: { path: 'policy.jsonl', limit: null }, heldOut: { path: 'held-out.jsonl', limit: null } },
  recipe: presets.sgpo.options,
  teacher: { baseUrl: 'http://127.0.0.1:8080/v1', model: 'teacher', apiKey: null, temperature: 0.7, topP: 0.9, maxTokens: 512, seed: 1, concurrency: 2, timeoutSeconds: 60, maxAttempts: 5, price: null },
  sampling: { temperature: 0.7, topP: 0.9, maxNewTokens: 96, maxLength: 2_048, blockRows: 4, dtype: 'float32' },
  evaluation: { temperature: 0, topP: 1, maxNewTokens: 96 },
  filter: { factor: 1.5, minTokens: 4, includeEndToken: false },
  improverTraining: training, preference,
  execution: { shardRows: 256, cache: true, checkpointSeconds: 60 },
  ...overrides,
});
