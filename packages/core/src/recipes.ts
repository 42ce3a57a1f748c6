import type { PreferenceOptions, RecipeOptions } from './spec.ts';

interface Preset {
  /** The row of the paper's tables this preset stands for. */
  readonly paper: string;
  readonly options: RecipeOptions;
  /** Defaults that differ from those of the other presets. */
  readonly preference?: Partial<Pick<PreferenceOptions, 'beta' | 'learningRate'>>;
}

const sgpo: RecipeOptions = {
  improver: 'shared', targets: ['improved', 'external'], referenceInTraining: false, referenceInRefining: true, chosen: 'refined', rejected: 'sampled', rounds: 1,
};
/** A recipe without an improver: nothing is taught, nothing refined. */
const plain: RecipeOptions = {
  improver: 'none', targets: [], referenceInTraining: false, referenceInRefining: false, chosen: 'reference', rejected: 'sampled', rounds: 1,
};

/** Presets are points in one option space, never code paths (arXiv 2507.20181, Tables 3 to 7). */
export const presets = {
  'sft': { paper: 'SFT (Table 3): Step 0 alone', options: { ...plain, rounds: 0 } },
  'dpo': { paper: 'DPO on a given preference set (Table 3)', options: { ...plain, chosen: 'given', rejected: 'given' } },
  'spin': { paper: 'SPIN: the reference response against the policy\'s own (Tables 3 and 4)', options: plain, preference: { beta: 0.1 } },
  'sgpo': { paper: 'SGPO (Table 3)', options: sgpo },
  'sgpo+step2': { paper: 'SGPO + Step 2 (Table 6)', options: { ...sgpo, rounds: 2 } },
  'sgpo-separate': { paper: 'SGPO†, v3: separate improver (Table 5)', options: { ...sgpo, improver: 'separate' } },
  'sgpo-external': { paper: 'SGPO‡, v1: separate improver, external targets only (Table 5)', options: { ...sgpo, improver: 'separate', targets: ['external'] } },
  'sgpo-v2': { paper: 'v2: shared improver, external targets only (Table 5)', options: { ...sgpo, targets: ['external'] } },
  'sgpo-offpolicy': { paper: 'SGPO⋄: the reference response is chosen (Table 4)', options: { ...sgpo, chosen: 'reference' } },
  'sgpo-all-ref': { paper: 'reference in training and refining (Table 7)', options: { ...sgpo, referenceInTraining: true } },
  'sgpo-no-ref': { paper: 'reference in neither (Table 7)', options: { ...sgpo, referenceInRefining: false } },
} as const satisfies Record<string, Preset>;

export type PresetName = keyof typeof presets;
export const presetNames = Object.keys(presets) as PresetName[];

/** The same table without its literal types. */
export const presetOf = (name: PresetName): Preset => presets[name];

/** True when the recipe trains an improver: then it needs D_imp and a teacher. */
export const trainsImprover = ({ improver }: RecipeOptions): boolean => improver === 'shared' || improver === 'separate';
/** True when the recipe samples or refines: then it needs D_pol. */
export const usesPolicyData = ({ rounds, chosen, rejected }: RecipeOptions): boolean => rounds > 0 && !(chosen === 'given' && rejected === 'given');
/** True when pairs come from a data set. */
export const usesGivenPairs = ({ rounds, chosen }: RecipeOptions): boolean => rounds > 0 && chosen === 'given';
