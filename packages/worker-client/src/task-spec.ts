import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Digest, PreferenceOptions, SamplingOptions, StepParameters, TrainingOptions } from '@sgpo/core';
import { Dtype, PublishedWeights, type StartTaskRequestSchema, type TrainingParametersSchema } from './gen/sgpo/worker/v1/worker_pb.ts';

/** What a worker is asked to do, in the product's own words; the mapping to the wire lies below and nowhere else. */
export type WorkerTaskSpec =
  | { readonly kind: 'generate'; readonly model: Digest; readonly input: Digest; readonly sampling: SamplingOptions; readonly seed: number; readonly sampleIndex: number }
  | { readonly kind: 'score'; readonly model: Digest; readonly input: Digest; readonly maxLength: number; readonly blockRows: number; readonly dtype: SamplingOptions['dtype']; readonly chrf: boolean }
  | { readonly kind: 'sft'; readonly model: Digest; readonly dataset: Digest; readonly checkpointSeconds: number } & StepParameters['sft']
  /** `reference` is null for trainers without one. */
  | { readonly kind: 'dpo'; readonly model: Digest; readonly reference: Digest | null; readonly dataset: Digest; readonly checkpointSeconds: number } & StepParameters['dpo'];

type WireSpec = NonNullable<MessageInitShape<typeof StartTaskRequestSchema>['spec']>;

export function toWireSpec(spec: WorkerTaskSpec): WireSpec {
  switch (spec.kind) {
    case 'generate':
      return {
        case: 'generate',
        value: {
          model: { digest: spec.model }, input: { digest: spec.input }, temperature: spec.sampling.temperature, topP: spec.sampling.topP,
          maxNewTokens: spec.sampling.maxNewTokens, maxLength: spec.sampling.maxLength, seed: BigInt(spec.seed), sampleIndex: spec.sampleIndex,
          blockRows: spec.sampling.blockRows, dtype: dtypes[spec.sampling.dtype],
        },
      };
    case 'score':
      return {
        case: 'score',
        value: { model: { digest: spec.model }, input: { digest: spec.input }, maxLength: spec.maxLength, blockRows: spec.blockRows, dtype: dtypes[spec.dtype], measureChrf: spec.chrf },
      };
    case 'sft':
      return {
        case: 'sft',
        value: {
          model: { digest: spec.model }, dataset: { digest: spec.dataset }, training: trainingParameters(spec.training, spec.seed, spec.checkpointSeconds), chatTemplate: spec.chatTemplate,
        },
      };
    case 'dpo':
      return {
        case: 'dpo',
        value: {
          policy: { digest: spec.model }, reference: spec.reference === null ? undefined : { digest: spec.reference }, dataset: { digest: spec.dataset },
          training: trainingParameters(spec.preference, spec.seed, spec.checkpointSeconds), ...lossParameters(spec.preference),
        },
      };
  }
}

const dtypes = { float32: Dtype.FLOAT32, bfloat16: Dtype.BFLOAT16 } as const;
const publishedWeights = { last: PublishedWeights.LAST, best: PublishedWeights.BEST, both: PublishedWeights.BOTH } as const satisfies Record<TrainingOptions['publish'], PublishedWeights>;

function trainingParameters(options: TrainingOptions, seed: number, checkpointSeconds: number): MessageInitShape<typeof TrainingParametersSchema> {
  const { lora, validation } = options;
  return {
    epochs: options.epochs, learningRate: options.learningRate, batchSize: options.batchSize, microBatchSize: options.microBatchSize, maxLength: options.maxLength,
    warmupRatio: options.warmupRatio, scheduler: options.scheduler, weightDecay: options.weightDecay, maxGradNorm: options.maxGradNorm, seed: BigInt(seed),
    dtype: dtypes[options.dtype], saveDtype: dtypes[options.saveDtype], checkpointSeconds, gradientCheckpointing: options.gradientCheckpointing,
    lora: lora === null ? undefined : { ...lora, targetModules: [...lora.targetModules] }, publish: publishedWeights[options.publish], validation: validation ?? undefined,
  };
}

/** What the spec leaves null is not set: then the trainer's own default holds. */
const lossParameters = (options: PreferenceOptions) => ({
  trainer: options.trainer, lossTypes: [...options.loss], lossWeights: [...options.lossWeights ?? []], beta: options.beta, labelSmoothing: options.labelSmoothing,
  ldAlpha: options.ldAlpha ?? undefined, simpoGamma: options.simpoGamma ?? undefined, cpoAlpha: options.cpoAlpha ?? undefined,
  desirableWeight: options.desirableWeight ?? undefined, undesirableWeight: options.undesirableWeight ?? undefined, discopopTau: options.discopopTau ?? undefined,
});
