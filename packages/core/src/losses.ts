/** Preference losses by TRL's names. The worker checks the same table against the trainer library it runs. */

/** Parameters that only some losses read; `beta` is read by all. */
export type LossParameter = 'labelSmoothing' | 'ldAlpha' | 'simpoGamma' | 'cpoAlpha' | 'desirableWeight' | 'undesirableWeight' | 'discopopTau';

interface LossTraits {
  /** Parameters it reads. */
  readonly reads: readonly LossParameter[];
  /** Those of them that it does nothing sensible without. */
  readonly needs?: readonly LossParameter[];
  /** Pairs that a forward pass must hold: the loss compares them with each other. */
  readonly leastPairs?: number;
}

interface TrainerTraits {
  /** False: nothing is compared with a reference model. */
  readonly reference: boolean;
  /** Several losses may be summed. */
  readonly combines: boolean;
  /** What it measures on validation rows. */
  readonly measures: readonly ('loss' | 'rewards/accuracies' | 'rewards/margins')[];
  readonly losses: Readonly<Record<string, LossTraits>>;
}

const measures = ['loss', 'rewards/accuracies', 'rewards/margins'] as const;
const ld = { reads: ['ldAlpha'] } as const;
const smoothed = ['ldAlpha', 'labelSmoothing'] as const;
const weighted = ['desirableWeight', 'undesirableWeight'] as const;

const preferenceTrainers = {
  dpo: {
    reference: true, combines: true, measures,
    losses: {
      sigmoid: ld, hinge: ld, ipo: ld, exo_pair: { reads: smoothed, needs: ['labelSmoothing'] }, nca_pair: ld, robust: { reads: smoothed }, bco_pair: ld, sppo_hard: ld,
      aot: { reads: smoothed, leastPairs: 2 }, aot_unpaired: { reads: smoothed, leastPairs: 2 }, apo_zero: ld, apo_down: ld, discopop: { reads: ['ldAlpha', 'discopopTau'] }, sft: { reads: [] }, sigmoid_norm: ld,
    },
  },
  cpo: {
    reference: false, combines: false, measures,
    losses: { sigmoid: { reads: ['cpoAlpha', 'labelSmoothing'] }, hinge: { reads: ['cpoAlpha'] }, ipo: { reads: ['cpoAlpha'] }, simpo: { reads: ['cpoAlpha', 'simpoGamma', 'labelSmoothing'] } },
  },
  orpo: { reference: false, combines: false, measures, losses: { orpo: { reads: [] } } },
  kto: {
    reference: true, combines: false, measures: ['loss', 'rewards/margins'],
    losses: { kto: { reads: weighted, leastPairs: 2 }, apo_zero_unpaired: { reads: weighted } },
  },
} as const satisfies Record<string, TrainerTraits>;

export type PreferenceTrainer = keyof typeof preferenceTrainers;
export type LossName = { [Trainer in PreferenceTrainer]: keyof (typeof preferenceTrainers)[Trainer]['losses'] & string }[PreferenceTrainer];

/** The same table without its literal types, for looking names up. */
export const trainerTraits: Readonly<Record<PreferenceTrainer, TrainerTraits>> = preferenceTrainers;
export const trainerNames = Object.keys(preferenceTrainers) as PreferenceTrainer[];
export const lossNames = [...new Set(trainerNames.flatMap((name) => Object.keys(preferenceTrainers[name].losses)))] as LossName[];
