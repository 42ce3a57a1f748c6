import { lossNames, trainerNames } from '@sgpo/core';
import { z } from 'zod';
import { count, defaultWarmupRatio, dtype, positive, share } from './spec-fields.ts';

const epochs = positive(100).describe('Passes over the data set');

const moduleName = z.string().regex(/^[A-Za-z0-9_.]{1,200}$/, { error: 'Give the name of a module, such as q_proj: letters, digits, dots and underscores' });

const lora = z.strictObject({
  rank: count(1, 1024).default(16),
  alpha: positive(4096).default(32),
  dropout: z.number().min(0).lt(1).default(0.05),
  targetModules: z.array(moduleName).max(64)
    .refine((names) => new Set(names).size === names.length, { error: 'names a module twice', params: { fix: 'Name each module once' } }).default([]).describe('Empty: every linear layer but the output layer'),
}).meta({ id: 'Lora' });

const validation = z.strictObject({
  share: z.number().positive().max(0.5).default(0.05).describe('Of the rows; they are not trained on'),
  everySteps: count(1, 1_000_000).default(50).describe('Optimiser steps between measurements'),
  measure: z.enum(['loss', 'rewards/accuracies', 'rewards/margins']).default('loss'),
}).meta({ id: 'Validation' });

const fields = {
  batchSize: count(1, 1_048_576).default(128).describe('Rows of one optimiser step'),
  microBatchSize: count(1, 65_536).default(8).describe('Rows of one forward pass; divides batchSize'),
  maxLength: count(2, 1_048_576).default(2048),
  warmupRatio: z.number().min(0).lt(1).default(defaultWarmupRatio).describe('Share of the steps'),
  scheduler: z.enum(['cosine', 'linear', 'constant', 'constant_with_warmup']).default('cosine'),
  weightDecay: share(1).default(0),
  maxGradNorm: positive(1000).default(1),
  dtype: dtype.default('bfloat16'),
  saveDtype: dtype.default('bfloat16'),
  gradientCheckpointing: z.boolean().default(true),
  lora: lora.nullable().default(null).describe('null: every weight is trained'),
  publish: z.enum(['last', 'best', 'both']).default('last').describe('Weights the next phase gets; both: the best, with the last ones beside them'),
  validation: validation.nullable().default(null).describe('Rows set aside and measured while training'),
};

/** Epochs of Step 0: 1 for 7B and 8B, 3 for 1.5B models (Section 4). */
export const sftTraining = z.strictObject({
  epochs: epochs.default(1), learningRate: positive(1).default(2e-5), ...fields,
  chatTemplate: z.enum(['auto', 'own', 'chatml', 'llama3', 'plain']).default('auto').describe("auto: the model's own, else the one its control tokens are made for"),
}).meta({ id: 'SftTraining' });

export const improverTraining = z.strictObject({ epochs: epochs.default(3), learningRate: positive(1).default(2e-5), ...fields }).meta({ id: 'Training' });

const lossName = z.enum(lossNames);
const losses = z.array(lossName).min(1).max(5);
/** What a user may write: one name, or a list. */
export const lossesOrOne = z.union([lossName, losses]);

const parameter = (schema: z.ZodNumber, description: string): z.ZodDefault<z.ZodNullable<z.ZodNumber>> => schema.nullable().default(null).describe(description);

export const preference = z.strictObject({
  epochs: epochs.default(1), learningRate: positive(1).default(5e-7), ...fields,
  trainer: z.enum(trainerNames).default('dpo').describe('Trainer of TRL; cpo and orpo have no reference model'),
  loss: losses.default(['sigmoid']).describe("TRL's names; sigmoid is DPO; several (of trainer dpo) are summed"),
  lossWeights: z.array(z.number().min(0).max(1000)).max(5).nullable().default(null).describe('One a loss; null: 1 each'),
  beta: positive(100).default(0.01),
  labelSmoothing: z.number().min(0).lt(0.5).default(0),
  reference: z.enum(['round', 'initial']).default('round').describe('round: the checkpoint the round starts from; initial: π₀ in every round'),
  ldAlpha: parameter(share(1), 'Length-desensitised DPO: weight of what a longer answer has beyond the shorter one'),
  simpoGamma: parameter(share(100), 'Target margin of simpo, subtracted after beta: −log σ(β(mean log p_chosen − mean log p_rejected) − γ)'),
  cpoAlpha: parameter(share(1000), "Weight of cpo's likelihood term; null: TRL's 1; 0 for pure SimPO"),
  desirableWeight: parameter(positive(1000), 'Weight of chosen answers in kto'),
  undesirableWeight: parameter(positive(1000), 'Weight of rejected answers in kto'),
  discopopTau: parameter(positive(100), 'Temperature of discopop'),
}).meta({ id: 'Preference' });
