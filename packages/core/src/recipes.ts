import type { RecipeOptions } from './spec.ts';

interface Preset {
  /** The row of the paper's tables this preset stands for. */
  readonly paper: string;
  readonly options: RecipeOptions;
}

const sgpo: RecipeOptions = {
  improver: 'shared', targets: ['improved', 'external'], referenceInTraining: false, referenceInRefining: true, chosen: 'refined', rounds: 1,
};

/** Presets are points in one option space, never code paths (arXiv 2507.20181, Tables 3 to 7). */
export const presets = {
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
