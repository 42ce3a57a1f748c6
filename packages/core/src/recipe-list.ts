/** What a recipe reads of a spec. */
import type { RowSpace } from './plan.ts';
import { trainsImprover, usesGivenPairs, usesPolicyData } from './recipes.ts';
import type { RecipeOptions } from './spec.ts';

export type SetUse = 'needed' | 'optional' | 'unused';

/** Which data sets a recipe reads. Conversations are optional (the model may be π₀ already) unless Step 0 is all there is. */
export function setUses(recipe: RecipeOptions): Readonly<Record<RowSpace, SetUse>> {
  const needed = (is: boolean): SetUse => (is ? 'needed' : 'unused');
  return {
    sft: recipe.rounds === 0 && !trainsImprover(recipe) ? 'needed' : 'optional', improver: needed(trainsImprover(recipe)), policy: needed(usesPolicyData(recipe)),
    preferences: needed(usesGivenPairs(recipe)), heldOut: 'optional',
  };
}

/** What a spec must give for a recipe, as fields of the spec. */
export function needsOf(recipe: RecipeOptions): readonly string[] {
  const sets = Object.entries(setUses(recipe)).flatMap(([name, use]) => (use === 'needed' ? [`data.${name}`] : []));
  return ['model', ...sets, ...(trainsImprover(recipe) ? ['teacher'] : [])];
}

export type SpecSection = 'sampling' | 'evaluation' | 'filter' | 'rules' | 'sftTraining' | 'improverTraining' | 'preference' | 'execution';

/** Sections with defaults that the recipe reads. Those of Step 0 and of held-out prompts count: their sets are optional. */
export function sectionsOf(recipe: RecipeOptions): readonly SpecSection[] {
  const trains = trainsImprover(recipe);
  const optimises = recipe.rounds > 0;
  return [
    'sampling', 'evaluation', ...(trains ? ['filter' as const] : []), ...(trains || optimises ? ['rules' as const] : []), 'sftTraining',
    ...(trains ? ['improverTraining' as const] : []), ...(optimises ? ['preference' as const] : []), 'execution',
  ];
}
