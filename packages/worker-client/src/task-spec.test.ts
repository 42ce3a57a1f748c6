import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import type { Digest, PreferenceOptions, TrainingOptions } from '@sgpo/core';
import { Dtype, PublishedWeights, StartTaskRequestSchema, type StartTaskRequest } from './gen/sgpo/worker/v1/worker_pb.ts';
import { toWireSpec, type WorkerTaskSpec } from './task-spec.ts';

const digestOf = (letter: string): Digest => letter.repeat(64) as Digest;
const [model, reference, dataset] = ['a', 'b', 'c'].map(digestOf) as [Digest, Digest, Digest];
const training: TrainingOptions = {
  epochs: 1.5, learningRate: 2e-5, batchSize: 128, microBatchSize: 2, maxLength: 2_048, warmupRatio: 0.1, scheduler: 'cosine', weightDecay: 0.01, maxGradNorm: 1,
  dtype: 'float32', saveDtype: 'bfloat16', gradientCheckpointing: true, lora: null, publish: 'last', validation: null,
};
const preference: PreferenceOptions = {
  ...training, trainer: 'dpo', loss: ['sigmoid'], lossWeights: null, beta: 0.01, labelSmoothing: 0, reference: 'round',
  ldAlpha: null, simpoGamma: null, cpoAlpha: null, desirableWeight: null, undesirableWeight: null, discopopTau: null,
};
const sft = (changes: Partial<TrainingOptions> = {}): WorkerTaskSpec => ({ kind: 'sft', model, dataset, training: { ...training, ...changes }, chatTemplate: 'auto', seed: 2 ** 53 - 1, checkpointSeconds: 60 });
const dpo = (changes: Partial<PreferenceOptions> = {}, against: Digest | null = reference): WorkerTaskSpec =>
  ({ kind: 'dpo', model, reference: against, dataset, preference: { ...preference, ...changes }, seed: 7, checkpointSeconds: 0 });

/** What a worker reads: through the bytes, so that a field that is set and one that is not are told apart. */
function received(spec: WorkerTaskSpec): StartTaskRequest['spec'] {
  return fromBinary(StartTaskRequestSchema, toBinary(StartTaskRequestSchema, create(StartTaskRequestSchema, { spec: toWireSpec(spec) }))).spec;
}
function valueOf(spec: WorkerTaskSpec): Readonly<Record<string, unknown>> {
  const { value } = received(spec);
  if (value === undefined) throw new TypeError('no spec');
  return value as unknown as Readonly<Record<string, unknown>>;
}
const trainingOf = (spec: WorkerTaskSpec): Readonly<Record<string, unknown>> => valueOf(spec)['training'] as Readonly<Record<string, unknown>>;

test('fine-tuning: every hyper-parameter arrives, and nothing that was left out', () => {
  expect(received(sft())).toMatchObject({ case: 'sft', value: { model: { digest: model }, dataset: { digest: dataset }, chatTemplate: 'auto' } });
  expect(trainingOf(sft())).toMatchObject({
    epochs: 1.5, learningRate: 2e-5, batchSize: 128, microBatchSize: 2, maxLength: 2_048, warmupRatio: 0.1, scheduler: 'cosine', weightDecay: 0.01, maxGradNorm: 1,
    seed: 9007199254740991n, dtype: Dtype.FLOAT32, saveDtype: Dtype.BFLOAT16, checkpointSeconds: 60, gradientCheckpointing: true, publish: PublishedWeights.LAST,
  });
  expect(trainingOf(sft())['lora']).toBeUndefined();
  expect(trainingOf(sft())['validation']).toBeUndefined();
});

test('adapters, weights to publish and validation', () => {
  const changed = sft({
    lora: { rank: 8, alpha: 16, dropout: 0.05, targetModules: ['q_proj', 'v_proj'] }, publish: 'both', validation: { share: 0.1, everySteps: 5, measure: 'loss' },
  });
  expect(trainingOf(changed)).toMatchObject({
    lora: { rank: 8, alpha: 16, dropout: 0.05, targetModules: ['q_proj', 'v_proj'] }, publish: PublishedWeights.BOTH, validation: { share: 0.1, everySteps: 5, measure: 'loss' },
  });
  expect(trainingOf(sft({ publish: 'best' }))['publish']).toBe(PublishedWeights.BEST);
});

test('DPO: policy and reference keep their places; parameters that are null are not set', () => {
  const value = valueOf(dpo());
  expect(value).toMatchObject({ policy: { digest: model }, reference: { digest: reference }, dataset: { digest: dataset }, trainer: 'dpo', lossTypes: ['sigmoid'], lossWeights: [], beta: 0.01 });
  for (const name of ['ldAlpha', 'simpoGamma', 'cpoAlpha', 'desirableWeight', 'undesirableWeight', 'discopopTau']) expect(value[name]).toBeUndefined();
});

test('several losses keep their order and weights', () => {
  expect(valueOf(dpo({ loss: ['sigmoid', 'sft'], lossWeights: [1, 0.2], labelSmoothing: 0.1, ldAlpha: 0 })))
    .toMatchObject({ lossTypes: ['sigmoid', 'sft'], lossWeights: [1, 0.2], labelSmoothing: 0.1, ldAlpha: 0 });
});

test('a trainer without a reference is sent none, and a zero is not taken for "not set"', () => {
  const value = valueOf(dpo({ trainer: 'cpo', loss: ['simpo'], simpoGamma: 0.5, cpoAlpha: 0 }, null));
  expect(value['reference']).toBeUndefined();
  expect(value).toMatchObject({ trainer: 'cpo', lossTypes: ['simpo'], simpoGamma: 0.5, cpoAlpha: 0 });
});

test('the weights of both sides', () => {
  expect(valueOf(dpo({ trainer: 'kto', loss: ['kto'], desirableWeight: 1, undesirableWeight: 1.5 }))).toMatchObject({ trainer: 'kto', desirableWeight: 1, undesirableWeight: 1.5 });
});
