import { trainerTraits, usesPolicyData } from '@sgpo/core';
import type { LossName, LossParameter, Problem, RunSpec } from '@sgpo/core';
import { problem } from './problems.ts';

const parameters: readonly LossParameter[] = ['labelSmoothing', 'ldAlpha', 'simpoGamma', 'cpoAlpha', 'desirableWeight', 'undesirableWeight', 'discopopTau'];

/** Losses that a trainer does not have, parameters that a loss does not read, references that nobody compares with. */
export function preferenceConflicts({ preference, sampling, recipe }: RunSpec): Problem[] {
  const { trainer, loss, lossWeights } = preference;
  const traits = trainerTraits[trainer];
  const names = Object.keys(traits.losses);
  const missing = loss.filter((name) => !names.includes(name));
  if (missing.length > 0) {
    return [problem('preference.loss', missing[0], `preference.loss: trainer ${trainer} has no loss ${missing.join(', ')}`, fixLoss(missing[0] ?? 'sigmoid', trainer, names))];
  }
  const found: Problem[] = [];
  const say = (field: string, value: unknown, message: string, fix: string): void => { found.push(problem(`preference.${field}`, value, `preference.${field} ${message}`, fix)); };
  if (new Set(loss).size !== loss.length) say('loss', loss, 'names a loss twice', 'Name each loss once, and weigh it with preference.lossWeights');
  if (loss.length > 1 && !traits.combines) say('loss', loss, `names ${String(loss.length)} losses; trainer ${trainer} takes one`, 'Name one loss, or set preference.trainer to dpo');
  if (lossWeights !== null && !traits.combines) {
    say('lossWeights', undefined, `does nothing: trainer ${trainer} has one loss`, 'Remove it, or set preference.trainer to dpo');
  } else if (lossWeights !== null && lossWeights.length !== loss.length) {
    say('lossWeights', lossWeights, `has ${String(lossWeights.length)} weights for ${String(loss.length)} losses`, 'Give one weight a loss, or none');
  }
  if (lossWeights?.every((weight) => weight === 0) === true) say('lossWeights', lossWeights, 'are all 0: nothing would be learnt', 'Give at least one weight above 0');
  const asked = loss.flatMap((name) => traits.losses[name] ?? []);
  const read = new Set(asked.flatMap(({ reads }) => reads));
  for (const name of parameters) {
    const value = preference[name];
    if (read.has(name) || value === null || (name === 'labelSmoothing' && value === 0)) continue;
    say(name, value, `is not read by ${trainer} with ${loss.join(', ')}`, `Remove it; it belongs to ${owners(name)}`);
  }
  if (!traits.reference && preference.reference === 'initial') {
    say('reference', 'initial', `does nothing: trainer ${trainer} compares with no reference`, 'Remove it, or set preference.trainer to dpo');
  }
  for (const name of new Set(asked.flatMap(({ needs = [] }) => needs))) {
    if (preference[name] === null || preference[name] === 0) say(name, preference[name], `is needed by ${loss.join(', ')}`, 'Give a value above 0');
  }
  const leastPairs = Math.max(...asked.map(({ leastPairs: least = 1 }) => least));
  if (preference.microBatchSize < leastPairs) {
    say('microBatchSize', preference.microBatchSize, `is ${String(preference.microBatchSize)}: ${loss.join(', ')} compares the pairs of a forward pass with each other`,
      `Set preference.microBatchSize to ${String(leastPairs)} or more`);
  }
  const measure = preference.validation?.measure ?? 'loss';
  if (!traits.measures.includes(measure)) say('validation.measure', measure, `is not measured by trainer ${trainer}`, `Use one of ${traits.measures.join(', ')}`);
  if (usesPolicyData(recipe) && preference.maxLength < sampling.maxNewTokens) {
    say('maxLength', preference.maxLength, `is less than sampling.maxNewTokens (${String(sampling.maxNewTokens)}): long answers would all be dropped`, 'Raise preference.maxLength, or lower sampling.maxNewTokens');
  }
  return found;
}

function fixLoss(loss: LossName, trainer: string, names: readonly string[]): string {
  const owner = Object.entries(trainerTraits).find(([name, { losses }]) => name !== trainer && Object.hasOwn(losses, loss));
  return `${owner === undefined ? '' : `Set preference.trainer to ${owner[0]}, or `}use one of ${names.join(', ')}`;
}

/** "trainer kto", or "trainer dpo (robust, exo_pair)" where only some of its losses read the parameter. */
function owners(parameter: LossParameter): string {
  return Object.entries(trainerTraits).flatMap(([trainer, { losses }]) => {
    const readers = Object.entries(losses).filter(([, { reads }]) => reads.includes(parameter)).map(([name]) => name);
    if (readers.length === 0) return [];
    return [readers.length === Object.keys(losses).length ? `trainer ${trainer}` : `trainer ${trainer} (${readers.join(', ')})`];
  }).join(', ');
}
