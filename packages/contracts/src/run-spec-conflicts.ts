import { presetNames, presets } from '@sgpo/core';
import type { Problem, RecipeOptions, RunSpec, TrainingOptions } from '@sgpo/core';
import { problem } from './problems.ts';

/** Decoding of all data in the paper (Section 4). */
export const defaultDecoding = { temperature: 0.7, topP: 0.9 } as const;
export const defaultWarmupRatio = 0.1;

/**
 * Rules over several fields of a spec whose fields are right one by one. A value that would do nothing is refused unless it is the default, so that
 * the filled form of a spec is always a spec again.
 */
export function conflictsOf(spec: RunSpec): Problem[] {
  return [...recipeConflicts(spec), ...samplingConflicts(spec), ...trainingConflicts('improverTraining', spec.improverTraining), ...trainingConflicts('preference', spec.preference),
    ...preferenceConflicts(spec), ...dataConflicts(spec)];
}

function recipeConflicts(spec: RunSpec): Problem[] {
  const { recipe } = spec;
  if (recipe.improver === 'separate' && recipe.chosen === 'reference') {
    return [problem('recipe.chosen', 'reference', 'recipe.chosen: reference leaves a separate improver without any use: it would be trained and never asked',
      'Set recipe.chosen to refined, or recipe.improver to shared')];
  }
  if (recipe.chosen === 'reference' && recipe.referenceInRefining !== presets[spec.preset].options.referenceInRefining) {
    return [problem('recipe.referenceInRefining', recipe.referenceInRefining, 'recipe.referenceInRefining does nothing when recipe.chosen is reference: nothing is refined',
      'Remove it, or set recipe.chosen to refined')];
  }
  const twin = presetNames.find((name) => name !== spec.preset && isEqual(presets[name].options, recipe));
  if (twin === undefined) return [];
  return [problem('recipe', undefined, `recipe turns preset ${spec.preset} into ${twin}: the report would compare the run with the wrong row of the paper's tables`,
    `Set preset to ${twin} and remove the overrides`)];
}

function isEqual(a: RecipeOptions, b: RecipeOptions): boolean {
  const signature = ({ improver, targets, referenceInTraining, referenceInRefining, chosen, rounds }: RecipeOptions): string =>
    JSON.stringify([improver, targets.toSorted(), referenceInTraining, referenceInRefining, chosen, rounds]);
  return signature(a) === signature(b);
}

function samplingConflicts(spec: RunSpec): Problem[] {
  const found: Problem[] = [];
  const { sampling, evaluation, execution } = spec;
  for (const [field, tokens] of [['sampling.maxNewTokens', sampling.maxNewTokens], ['evaluation.maxNewTokens', evaluation.maxNewTokens]] as const) {
    if (field === 'evaluation.maxNewTokens' && tokens === sampling.maxNewTokens) continue;
    if (tokens >= sampling.maxLength) {
      found.push(problem(field, tokens, `${field} (${String(tokens)}) leaves no room for a prompt within sampling.maxLength (${String(sampling.maxLength)})`,
        `Give less than ${String(sampling.maxLength)}, or raise sampling.maxLength`));
    }
  }
  if (execution.shardRows < sampling.blockRows) {
    const block = String(sampling.blockRows);
    found.push(problem('execution.shardRows', execution.shardRows,
      `execution.shardRows (${String(execution.shardRows)}) is less than a block (sampling.blockRows: ${block}): shards are whole blocks, so every shard would have ${block} rows`,
      `Set execution.shardRows to ${block} or more, or sampling.blockRows to ${String(execution.shardRows)} or less`));
  }
  const isDefault = evaluation.temperature === defaultDecoding.temperature && evaluation.topP === defaultDecoding.topP && evaluation.maxNewTokens === sampling.maxNewTokens;
  if (spec.data.heldOut === null && !isDefault) {
    found.push(problem('evaluation', undefined, 'evaluation does nothing without data.heldOut', 'Add data.heldOut, or remove evaluation'));
  }
  return found;
}

function trainingConflicts(section: 'improverTraining' | 'preference', training: TrainingOptions): Problem[] {
  const found: Problem[] = [];
  const { batchSize, microBatchSize } = training;
  if (batchSize % microBatchSize !== 0) {
    found.push(problem(`${section}.microBatchSize`, microBatchSize, `${section}.batchSize (${String(batchSize)}) is not a multiple of ${section}.microBatchSize (${String(microBatchSize)})`,
      `Set ${section}.microBatchSize to ${String(largestDivisor(batchSize, microBatchSize))}, or ${section}.batchSize to ${String(Math.ceil(batchSize / microBatchSize) * microBatchSize)}`));
  }
  if (training.scheduler === 'constant' && training.warmupRatio > 0 && training.warmupRatio !== defaultWarmupRatio) {
    found.push(problem(`${section}.warmupRatio`, training.warmupRatio, `${section}.warmupRatio does nothing under the constant scheduler`,
      `Set ${section}.scheduler to constant_with_warmup, or remove ${section}.warmupRatio`));
  }
  return found;
}

function preferenceConflicts({ preference }: RunSpec): Problem[] {
  if (preference.labelSmoothing === 0 || preference.loss === 'sigmoid') return [];
  return [problem('preference.labelSmoothing', preference.labelSmoothing, `preference.labelSmoothing belongs to the sigmoid loss; ${preference.loss} ignores it`,
    'Set preference.labelSmoothing to 0, or preference.loss to sigmoid')];
}

/** Policy rows whose prompt is in the improver set are dropped: the first rows of one file would all go. */
function dataConflicts({ data }: RunSpec): Problem[] {
  const { improver, policy } = data;
  if (improver.path !== policy.path || (improver.limit !== null && (policy.limit === null || policy.limit > improver.limit))) return [];
  return [problem('data.policy.path', policy.path, 'data.policy has only rows that data.improver has too; prompts of the improver set are dropped from the policy set, so no row would be left',
    'Give data.policy another file')];
}

function largestDivisor(of: number, atMost: number): number {
  let divisor = Math.min(of, atMost);
  while (of % divisor !== 0) divisor -= 1;
  return divisor;
}
