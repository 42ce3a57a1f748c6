import { resolve } from 'node:path';
import { parseRunSpec, placeholderSpec } from '@sgpo/contracts';
import { compileRun, describePlan, type PlanDescription, type PresetName, type SideDescription, type StepDescription } from '@sgpo/core';
import { CliError, exitCodes } from '../cli-error.ts';
import { explain } from '../explain.ts';
import { isStudy, readSpecFile } from '../spec-file.ts';
import { formatTable } from '../text-table.ts';
import { writeJson, writeLines } from './write.ts';

export interface PlanOptions { readonly preset?: PresetName; readonly file?: string; readonly userFolder: string; readonly json: boolean }

/**
 * The steps of a preset (with placeholders for what it needs) or of a spec, as they would run. Nothing that the spec names is looked at.
 * A file that is no spec: exit code 2, and as JSON an object with `error`. Throws CliError or SgpoError when it was not asked for JSON.
 */
export function runPlan({ preset, file, userFolder, json }: PlanOptions): number {
  try {
    const spec = parseRunSpec(file === undefined ? placeholderSpec(preset ?? 'sgpo') : readRun(resolve(userFolder, file)));
    const plan = describePlan(compileRun(spec), spec);
    if (json) writeJson(plan);
    else writeLines(formatPlan(plan));
    return exitCodes.ok;
  } catch (error) {
    const explanation = json ? explain(error) : null;
    if (explanation === null) throw error;
    const { exitCode, ...told } = explanation;
    writeJson({ error: told });
    return exitCode;
  }
}

function readRun(file: string): object {
  const document = readSpecFile(file);
  if (isStudy(document)) throw new CliError(`${file} is a study: it has as many plans as runs`, 'give a run spec, or --preset with one of the presets of the study', { exitCode: exitCodes.usage });
  return document;
}

function formatPlan({ preset, paper, models, steps }: PlanDescription): string[] {
  const number = new Map(steps.map(({ key }, index) => [key, String(index + 1)]));
  const rows = steps.map((step) => [number.get(step.key) ?? '', step.key, step.model ?? '', formatPrompt(step), formatFrom(step)]);
  const trainings = steps.flatMap(({ key, policy, reference, chosen, rejected }) =>
    (policy === undefined || chosen === undefined || rejected === undefined ? [] : [[key, policy, reference ?? 'none', formatSide(chosen), formatSide(rejected)]]));
  return [
    `${preset}: ${paper}`, '', ...formatTable([['', 'step', 'model', 'prompt', 'from'], ...rows], { right: (column) => column === 0 }),
    ...(trainings.length === 0 ? [] : ['', 'Preference trainings:', ...formatTable([['step', 'policy', 'reference', 'chosen', 'rejected'], ...trainings])]),
    '', 'Models:', ...formatTable(models.map(({ name, title, step }) => [name, title, step])),
  ];
}

function formatPrompt({ prompt }: StepDescription): string {
  if (prompt === null || prompt.text === null) return prompt?.symbol ?? '';
  const symbols: Readonly<Record<string, string>> = { prompt: 'x', draft: prompt.columns.draft?.step === 'generate-y0' ? 'y₀' : 'y', reference: 'y_sft' };
  return `${prompt.symbol}(${Object.keys(prompt.columns).map((slot) => symbols[slot] ?? slot).join(', ')})`;
}

/** Inputs but the model, which has a column of its own. The report reads all: that is not worth a line. */
function formatFrom({ kind, inputs }: StepDescription): string {
  if (kind === 'report') return 'every step';
  return Object.entries(inputs).flatMap(([role, input]) => {
    if ('weights' in input) return [input.weights.path ?? input.weights.artifact ?? `run ${input.weights.from?.run ?? ''}`];
    if ('dataset' in input) return [`${input.dataset.field}: ${input.dataset.path ?? input.dataset.dataset ?? input.dataset.hub?.repo ?? ''}`];
    return role === 'model' || role === 'policy' || role === 'reference' ? [] : [`${role} ${input.step}`];
  }).join(', ');
}

const formatSide = ({ source, step, column, model }: SideDescription): string => `${source}: ${step}.${column}${model === null ? '' : ` (${model})`}`;
