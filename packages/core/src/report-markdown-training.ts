import { dash, number, percent, table, whole } from './markdown.ts';
import type { Report, ReportTraining } from './report-types.ts';

/** What each training changed and what it handed on, and the measurements of those that have validation rows. */
export function renderTrainings({ trainings }: Report): string {
  if (trainings.length === 0) return '';
  const rows = trainings.map(({ step, lora, published, updates, parameters }) => [
    step, lora === null ? 'every weight' : `LoRA of rank ${String(lora.rank)}`,
    parameters === null ? dash : `${String(parameters.trained)} of ${String(parameters.total)} (${percent(parameters.trained / parameters.total)})`, whole(updates), published,
  ]);
  return [table(['training', 'trained', 'parameters', 'updates', 'published'], rows), ...trainings.flatMap(measurements)].join('\n\n');
}

function measurements({ step, validation, measurements: points, best }: ReportTraining): string[] {
  if (validation === null || points.length === 0) return [];
  return [
    table([`${step}: updates`, `validation ${validation.measure}`, ''], points.map((point) => [String(point.step), number(point.value, 4), point.step === best?.step ? 'best' : ''])),
  ];
}
