import { SgpoError } from '@sgpo/core';
import type { ErrorCode, ModelSource, Problem, RunSpec } from '@sgpo/core';
import type { z } from 'zod';
import { parseBody } from './parse-body.ts';
import { problem } from './problems.ts';
import { studyBodySchema } from './rest.ts';
import { parseRunSpec } from './run-spec.ts';
import { mergeParts, withoutUnread } from './study-merge.ts';
import type { Part } from './study-merge.ts';

/** What a run is in its study: `label` names the method; with model and seed it names the run. */
export interface StudyEntry { readonly label: string; readonly preset: string; readonly model: string; readonly seed: number }
export interface StudyRun { readonly entry: StudyEntry; readonly spec: RunSpec }
export interface ExpandedStudy { readonly name: string; readonly runs: readonly StudyRun[] }

type Body = z.output<typeof studyBodySchema>;

/** A run before its spec is checked. `fields`: what a field of the spec is called in the body of the study. */
interface Draft { readonly label: string; readonly spec: Part; readonly fields: (field: string) => string }

const maxRuns = 200;

/**
 * The runs of the body of POST /v1/studies: `base` with every preset, model and seed, in that order, or with each entry of `runs`. Data sets and a
 * teacher of the base that a preset does not read are left out for it. Throws STUDY.INVALID for a body that names no such list, and what
 * parseRunSpec throws for a spec, with every problem of every run, told once where several runs share it.
 */
export function expandStudy(body: unknown): ExpandedStudy {
  const study = parseBody(studyBodySchema, body, { root: 'study', code: 'STUDY.INVALID' });
  refuse('STUDY.INVALID', conflictsOf(study));
  const runs = parseAll(study.runs === undefined ? draftsOfLists(study) : draftsOfRuns(study));
  refuse('STUDY.INVALID', [...repeated(runs), ...runs.flatMap(({ spec }) => (spec.preview === null ? [] : [problem('base.preview', undefined, 'base.preview: a study has no previews', 'Remove it')])).slice(0, 1)]);
  return { name: study.name, runs };
}

function conflictsOf({ base, presets, models, seeds, runs }: Body): Problem[] {
  const lists = [['presets', 'preset', presets], ['models', 'model', models], ['seeds', 'seed', seeds]] as const;
  if (runs !== undefined) {
    return lists.flatMap(([name, , list]) => (list === undefined ? [] : [problem(name, undefined, `${name} stands beside runs: a study has lists, or runs`, `Remove ${name}, or write its values into the changes of runs`)]));
  }
  if (lists.every(([, , list]) => list === undefined)) return [problem('presets', undefined, 'nothing is compared: the study has neither presets, models, seeds nor runs', 'Give one of them')];
  const found = lists.flatMap(([name, key, list]) => (list === undefined || !Object.hasOwn(base, key) ? []
    : [problem(`base.${key}`, undefined, `base.${key} stands beside ${name}, which gives it a value for each run`, `Remove base.${key}, or ${name}`)]));
  const count = (presets?.length ?? 1) * (models?.length ?? 1) * (seeds?.length ?? 1);
  return count <= maxRuns ? found : [...found, problem('presets', undefined, `presets, models and seeds make ${String(count)} runs; a study has at most ${String(maxRuns)}`, 'Make several studies')];
}

function draftsOfLists({ base, presets, models, seeds }: Body): Draft[] {
  const axis = (key: string, list: readonly unknown[] | undefined): readonly Part[] => list?.map((value) => ({ [key]: value })) ?? [{}];
  const at = (name: string, list: readonly unknown[] | undefined, index: number): string | null => (list === undefined ? null : `${name}[${String(index)}]`);
  return axis('preset', presets).flatMap((preset, p) => axis('model', models).flatMap((model, m) => axis('seed', seeds).map((seed, s) => {
    const own: Readonly<Record<string, string | null>> = { preset: at('presets', presets, p), model: at('models', models, m), seed: at('seeds', seeds, s) };
    const spec = { ...base, ...preset, ...model, ...seed };
    return { label: String(spec['preset']), spec: withoutUnread(spec, {}), fields: (field: string) => renamed(field, own) };
  })));
}

function draftsOfRuns({ base, runs }: Body): Draft[] {
  return (runs ?? []).map(({ label, changes }, index) => {
    const own = Object.fromEntries(Object.keys(changes).map((key) => [key, `runs[${String(index)}].changes.${key}`]));
    return { label, spec: withoutUnread(mergeParts(base, changes), changes), fields: (field: string) => renamed(field, own) };
  });
}

/** `model.path` as the body calls it: `models[1].path`, or `base.model.path`. */
function renamed(field: string, own: Readonly<Record<string, string | null>>): string {
  const key = /^[A-Za-z0-9_]+/.exec(field)?.[0] ?? '';
  const place = Object.hasOwn(own, key) ? own[key] ?? null : null;
  return place === null ? (field === 'spec' ? 'base' : `base.${field}`) : place + field.slice(key.length);
}

/** Checks every spec, then throws for all of them. */
function parseAll(drafts: readonly Draft[]): StudyRun[] {
  const runs: StudyRun[] = [];
  const found = new Map<string, { readonly code: ErrorCode; readonly problem: Problem; readonly labels: Set<string> }>();
  for (const { label, spec: draft, fields } of drafts) {
    try {
      const spec = parseRunSpec(draft);
      runs.push({ entry: { label, preset: spec.preset, model: nameOf(spec.model), seed: spec.seed }, spec });
    } catch (error) {
      if (!(error instanceof SgpoError)) throw error;
      for (const one of error.problems) {
        const renamedProblem = { ...one, field: fields(one.field) };
        const key = JSON.stringify(renamedProblem);
        const known = found.get(key) ?? { code: error.code, problem: renamedProblem, labels: new Set<string>() };
        known.labels.add(label);
        found.set(key, known);
      }
    }
  }
  const all = [...found.values()];
  const [first] = all;
  if (first !== undefined) refuse(first.code, all.map(({ problem: one, labels }) => ({ ...one, message: `${listed([...labels])}: ${one.message}` })));
  return runs;
}

/** A model in the tables of a report: where it comes from, in short. */
function nameOf({ path, artifact, from }: ModelSource): string {
  if (from !== null) return `${from.run}/${from.model}`;
  return path ?? artifact ?? '';
}

/** Two runs that nothing tells apart would be counted as two samples of one method. */
function repeated(runs: readonly StudyRun[]): Problem[] {
  const seen = new Set<string>();
  return runs.flatMap(({ entry: { label, model, seed } }) => {
    const key = JSON.stringify([label, model, seed]);
    if (!seen.has(key)) {
      seen.add(key);
      return [];
    }
    return [problem('runs', label, `two runs are called ${label} with model ${model} and seed ${String(seed)}`, 'Give each run a label, a model or a seed of its own')];
  });
}

function listed(labels: readonly string[]): string {
  const shown = 5;
  return labels.length <= shown ? labels.join(', ') : `${labels.slice(0, shown).join(', ')} and ${String(labels.length - shown)} more`;
}

function refuse(code: ErrorCode, problems: readonly Problem[]): void {
  const [first] = problems;
  if (first === undefined) return;
  throw new SgpoError(code, `The study has ${problems.length === 1 ? 'a problem' : `${String(problems.length)} problems`}: ${first.message}`, {
    remedy: 'Correct the fields that are named and send the study again', problems,
  });
}
