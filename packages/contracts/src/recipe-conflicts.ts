import { presetNames, presetOf, trainsImprover } from '@sgpo/core';
import type { Problem, RecipeOptions, RunSpec } from '@sgpo/core';
import { problem } from './problems.ts';

/** Options of the recipe that exclude each other, or would do nothing. The first one found is told: the others often follow from it. */
export function recipeConflicts(spec: RunSpec): Problem[] {
  const found = findConflict(spec) ?? findTwin(spec);
  return found === null ? [] : [found];
}

function findConflict({ recipe, data, preset }: RunSpec): Problem | null {
  const { improver, targets, chosen, rejected, rounds } = recipe;
  const refines = chosen === 'refined' && rounds > 0;
  if (rounds === 0 && !trainsImprover(recipe) && data.sft === null) {
    return problem('data.sft', null, `nothing would be trained: preset ${preset} has no round of preference optimisation and no improver, and data.sft is not given`, 'Give data.sft, conversations for Step 0');
  }
  if ((chosen === 'given') !== (rejected === 'given')) {
    return problem('recipe.rejected', rejected, `recipe.chosen is ${chosen} and recipe.rejected is ${rejected}: given pairs bring both sides`, 'Set both to given, or neither');
  }
  if (chosen === 'given' && improver !== 'none') {
    return problem('recipe.improver', improver, 'recipe.chosen: given leaves the improver without any use: it would be trained and never asked', 'Set recipe.improver to none, or recipe.chosen to refined');
  }
  if (improver === 'none' && refines) {
    return problem('recipe.improver', improver, 'recipe.chosen: refined needs an improver that refines', 'Set recipe.improver to shared or separate (kept when the model is an improver already), or recipe.chosen to reference');
  }
  if (improver === 'separate' && !refines) {
    return problem('recipe.chosen', chosen, 'a separate improver that refines nothing has no use: it would be trained and never asked', 'Set recipe.chosen to refined and recipe.rounds to 1 or more, or recipe.improver to shared');
  }
  if (improver === 'kept' && !refines) {
    return problem('recipe.improver', improver, 'recipe.improver: kept says that the model refines, but nothing is refined', 'Set recipe.chosen to refined and recipe.rounds to 1 or more, or recipe.improver to none');
  }
  if (trainsImprover(recipe) && targets.length === 0) {
    return problem('recipe.targets', targets, 'an improver is trained without any target', 'Name improved, external or both');
  }
  return findUnused(recipe, presetOf(preset).options);
}

/** Options that do nothing here and are not those of the preset: somebody expects something of them. */
function findUnused(recipe: RecipeOptions, preset: RecipeOptions): Problem | null {
  const { targets, referenceInTraining, referenceInRefining, chosen } = recipe;
  const trains = trainsImprover(recipe);
  if (!trains && referenceInTraining && !preset.referenceInTraining) {
    return problem('recipe.referenceInTraining', referenceInTraining, 'recipe.referenceInTraining does nothing: no improver is trained', 'Remove it');
  }
  if (!trains && targets.toSorted().join() !== preset.targets.toSorted().join()) {
    return problem('recipe.targets', targets, 'recipe.targets does nothing: no improver is trained', 'Remove it');
  }
  if (chosen !== 'refined' && referenceInRefining !== preset.referenceInRefining) {
    return problem('recipe.referenceInRefining', referenceInRefining, `recipe.referenceInRefining does nothing when recipe.chosen is ${chosen}: nothing is refined`, 'Remove it, or set recipe.chosen to refined');
  }
  return null;
}

function findTwin({ preset, recipe }: RunSpec): Problem | null {
  const own = signature(recipe);
  if (own === signature(presetOf(preset).options)) return null;
  const twin = presetNames.find((name) => name !== preset && signature(presetOf(name).options) === own);
  if (twin === undefined) return null;
  return problem('recipe', undefined, `recipe turns preset ${preset} into ${twin}: the report would compare the run with the wrong row of the paper's tables`,
    `Set preset to ${twin} and remove the overrides`);
}

/** Equal for recipes that do the same: what does nothing does not enter. */
function signature(recipe: RecipeOptions): string {
  const { improver, targets, referenceInTraining, referenceInRefining, chosen, rejected, rounds } = recipe;
  const trains = trainsImprover(recipe);
  const pairs = rounds === 0 ? null : [chosen, rejected, chosen === 'refined' && referenceInRefining];
  return JSON.stringify([improver, trains ? targets.toSorted() : [], trains && referenceInTraining, pairs, rounds]);
}
