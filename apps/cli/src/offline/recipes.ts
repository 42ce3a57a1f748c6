import { listRecipes, type RecipeDescription } from '@sgpo/contracts';
import { exitCodes } from '../cli-error.ts';
import { formatTable } from '../text-table.ts';
import { writeJson, writeLines } from './write.ts';

/** Every preset with its options, defaults and the paper's row it stands for; as JSON the body of GET /v1/recipes. */
export function runRecipes({ json }: { readonly json: boolean }): number {
  const recipes = listRecipes();
  if (json) writeJson({ recipes });
  else writeLines(formatRecipes(recipes));
  return exitCodes.ok;
}

function formatRecipes(recipes: readonly RecipeDescription[]): string[] {
  const yes = (value: boolean): string => (value ? 'yes' : 'no');
  const options = recipes.map(({ preset, options: { improver, targets, referenceInTraining, referenceInRefining, chosen, rejected, rounds } }) => {
    const [trains, refines] = [improver === 'shared' || improver === 'separate', rounds > 0 && chosen === 'refined'];
    return [
      preset, improver, trains ? targets.join('+') : '–', trains ? yes(referenceInTraining) : '–', refines ? yes(referenceInRefining) : '–',
      ...(rounds > 0 ? [chosen, rejected] : ['–', '–']), String(rounds),
    ];
  });
  return [
    'What each preset stands for, and what a spec of it must give:',
    ...formatTable([['preset', "row of the paper's tables", 'needs'], ...recipes.map(({ preset, paper, needs }) => [preset, paper, needs.join(', ')])]), '',
    'Its options (recipe.… overrides them):',
    ...formatTable([['preset', 'improver', 'targets', 'y_sft in p_train', 'y_sft in p_refine', 'chosen', 'rejected', 'rounds'], ...options]), '',
    'Defaults of every section: npx sgpo recipes --json',
  ];
}
