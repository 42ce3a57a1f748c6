import { trainsImprover } from '@sgpo/core';
import type { Problem, RunSpec, TrainingOptions } from '@sgpo/core';
import { problem } from './problems.ts';
import { recipeConflicts } from './recipe-conflicts.ts';
import { preferenceConflicts } from './preference-conflicts.ts';
import { dataConflicts, modelConflicts } from './source-conflicts.ts';
import { defaultDecoding, defaultWarmupRatio } from './spec-fields.ts';
import { teacherConflicts } from './teacher-conflicts.ts';

/**
 * Rules over several fields of a spec whose fields are right one by one. A value that its section would not heed is refused unless it is the default, so
 * that the filled form of a spec is always a spec again. Sections that the recipe does not read may hold anything that fits: one base serves many presets.
 */
export function conflictsOf(spec: RunSpec): Problem[] {
  return [
    ...recipeConflicts(spec), ...modelConflicts('model', spec.model), ...dataConflicts(spec), ...teacherConflicts(spec), ...samplingConflicts(spec), ...previewConflicts(spec),
    ...trainingConflicts('sftTraining', spec.sftTraining), ...trainingConflicts('improverTraining', spec.improverTraining), ...trainingConflicts('preference', spec.preference),
    ...preferenceConflicts(spec),
  ];
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

function previewConflicts({ preview, recipe }: RunSpec): Problem[] {
  if (preview === null || recipe.rounds > 0 || trainsImprover(recipe)) return [];
  return [problem('preview', undefined, 'a preview shows what is sampled, taught and paired; this recipe trains on conversations alone', 'Ask for an estimate instead: POST /v1/runs:estimate')];
}

function trainingConflicts(section: 'sftTraining' | 'improverTraining' | 'preference', training: TrainingOptions): Problem[] {
  const found: Problem[] = [];
  const { batchSize, microBatchSize, publish, validation } = training;
  if (batchSize % microBatchSize !== 0) {
    found.push(problem(`${section}.microBatchSize`, microBatchSize, `${section}.batchSize (${String(batchSize)}) is not a multiple of ${section}.microBatchSize (${String(microBatchSize)})`,
      `Set ${section}.microBatchSize to ${String(largestDivisor(batchSize, microBatchSize))}, or ${section}.batchSize to ${String(Math.ceil(batchSize / microBatchSize) * microBatchSize)}`));
  }
  if (training.scheduler === 'constant' && training.warmupRatio > 0 && training.warmupRatio !== defaultWarmupRatio) {
    found.push(problem(`${section}.warmupRatio`, training.warmupRatio, `${section}.warmupRatio does nothing under the constant scheduler`,
      `Set ${section}.scheduler to constant_with_warmup, or remove ${section}.warmupRatio`));
  }
  if (publish !== 'last' && validation === null) {
    found.push(problem(`${section}.publish`, publish, `${section}.publish: ${publish} needs rows to measure by, and ${section}.validation is not set`,
      `Set ${section}.validation, such as {share: 0.05}, or ${section}.publish to last`));
  }
  if (section !== 'preference' && validation !== null && validation.measure !== 'loss') {
    found.push(problem(`${section}.validation.measure`, validation.measure, `${section}.validation.measure: ${validation.measure} is measured on pairs; this training has none`,
      `Set ${section}.validation.measure to loss`));
  }
  return found;
}

function largestDivisor(of: number, atMost: number): number {
  let divisor = Math.min(of, atMost);
  while (of % divisor !== 0) divisor -= 1;
  return divisor;
}
