import { needsOf, presetNames, presetOf, sectionsOf, setUses } from '@sgpo/core';
import type { DataOptions, PresetName, RecipeOptions, RunSpec, SpecSection, TeacherOptions } from '@sgpo/core';
import { parseRunSpec } from './run-spec.ts';
import type { RunSpecBody } from './run-spec.ts';

type Defaults = Pick<RunSpec, SpecSection> & { readonly data: Partial<DataOptions>; readonly teacher: Partial<TeacherOptions> };

/** A preset as `sgpo recipes` and GET /v1/recipes show it. */
export interface RecipeDescription {
  readonly preset: PresetName;
  /** The row of the paper's tables it stands for. */
  readonly paper: string;
  readonly options: RecipeOptions;
  /** What a spec of the preset that gives only its needs is filled up with, of the sections it reads. */
  readonly defaults: Partial<Defaults>;
  /** Fields that a spec must give. */
  readonly needs: string[];
}

export const listRecipes = (): RecipeDescription[] => presetNames.map(describeRecipe);

function describeRecipe(preset: PresetName): RecipeDescription {
  const { paper, options } = presetOf(preset);
  return { preset, paper, options, defaults: defaultsOf(parseRunSpec(placeholderSpec(preset))), needs: [...needsOf(options)] };
}

function defaultsOf(spec: RunSpec): Partial<Defaults> {
  const { heldOutOverlap, scores } = spec.data;
  const sections = Object.fromEntries(sectionsOf(spec.recipe).map((section) => [section, spec[section]]));
  return { data: { heldOutOverlap, ...(setUses(spec.recipe).preferences === 'needed' ? { scores } : {}) }, ...(spec.teacher === null ? {} : { teacher: teacherDefaults(spec.teacher) }), ...sections };
}

/** Without what every spec gives itself. */
function teacherDefaults(teacher: TeacherOptions): Partial<TeacherOptions> {
  return Object.fromEntries(Object.entries(teacher).filter(([name]) => name !== 'baseUrl' && name !== 'model'));
}

const names: Readonly<Record<string, string>> = { sft: 'conversations', improver: 'improver', policy: 'policy', preferences: 'preferences' };

/** The least a spec of `preset` holds, with names that stand for files: for showing its plan without having any. */
export function placeholderSpec(preset: PresetName): RunSpecBody {
  const needs = needsOf(presetOf(preset).options);
  const data = Object.fromEntries(Object.entries(names).flatMap(([set, file]) => (needs.includes(`data.${set}`) ? [[set, { path: `${file}.jsonl` }]] : [])));
  return { preset, model: { path: 'model' }, data, ...(needs.includes('teacher') ? { teacher: { baseUrl: 'https://teacher.example/v1', model: 'teacher' } } : {}) };
}
