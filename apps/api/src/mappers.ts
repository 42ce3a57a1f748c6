import type { Artifact, Metrics, Run, RunDetail, RunEvent } from '@sgpo/contracts';
import type { Failure } from '@sgpo/core';
import type { ArtifactRecord, EventRow, MetricRow, RowCounts, RunRow, RunTree, StepRow, TaskRow } from '@sgpo/database';

/** Rows of the database in the form REST shows them. */

const time = (date: Date): string => date.toISOString();
const moment = (date: Date | null): string | null => date?.toISOString() ?? null;
const counts = ({ rowsIn, rowsOut, dropped }: Partial<RowCounts>): { rowsIn: number | null; rowsOut: number | null; dropped: Record<string, number> | null } =>
  ({ rowsIn: rowsIn ?? null, rowsOut: rowsOut ?? null, dropped: dropped === undefined ? null : { ...dropped } });

function toFailure(failure: Failure | null): Run['failure'] {
  if (failure === null) return null;
  const { code, message, remedy, problems } = failure;
  return { code, message, remedy, ...(problems === undefined ? {} : { problems: [...problems] }) };
}

/** Tasks that are done of those known; below 1 until the run has succeeded, because steps still expand and results are still to be published. */
export function fractionOf({ state, tasksDone, tasksTotal }: Pick<RunRow, 'state' | 'tasksDone' | 'tasksTotal'>): number {
  if (state === 'succeeded') return 1;
  return tasksTotal === 0 ? 0 : Math.min(tasksDone / tasksTotal, 0.999);
}

export function toRun(row: RunRow): Run {
  return {
    id: row.id, name: row.name, preset: row.preset, state: row.state, failure: toFailure(row.failure),
    progress: { tasksDone: row.tasksDone, tasksTotal: row.tasksTotal, fraction: fractionOf(row) },
    createdAt: time(row.createdAt), updatedAt: time(row.updatedAt), startedAt: moment(row.startedAt), endedAt: moment(row.endedAt),
  };
}

export function toRunDetail({ run, steps }: RunTree): RunDetail {
  const { recipe } = run.spec;
  return { ...toRun(run), spec: { ...run.spec, recipe: { ...recipe, targets: [...recipe.targets] } }, steps: steps.map((step) => ({ ...toStep(step), tasks: step.tasks.map(toTask) })) };
}

type StepWithoutTasks = Omit<RunDetail['steps'][number], 'tasks'>;

const toStep = (row: StepRow): StepWithoutTasks => ({
  id: row.id, key: row.key, kind: row.kind, title: row.title, position: row.position, state: row.state, space: row.space, inputs: { ...row.inputs }, ...counts(row),
  output: row.output, stats: row.stats === null ? null : { ...row.stats }, startedAt: moment(row.startedAt), endedAt: moment(row.endedAt),
});

const toTask = (row: TaskRow): RunDetail['steps'][number]['tasks'][number] => ({
  id: row.id, index: row.index, role: row.role, location: row.location, state: row.state, posFrom: row.posFrom, posTo: row.posTo, rowsDone: row.rowsDone, rowsTotal: row.rowsTotal,
  unit: row.unit, ...counts(row), output: row.output, failure: toFailure(row.failure), attempts: row.attempts, notBefore: moment(row.notBefore), reuses: row.reuses,
  startedAt: moment(row.startedAt), endedAt: moment(row.endedAt),
});

export const toEvent = (row: EventRow): RunEvent =>
  ({ sequence: row.sequence, at: time(row.at), type: row.type, stepKey: row.stepKey, taskId: row.taskId, data: { ...row.data } });

/** Rows come ordered by step, name and step number. */
export function toMetrics(rows: readonly MetricRow[]): Metrics {
  const series: Metrics['series'] = [];
  for (const { stepKey, name, step, value } of rows) {
    let last = series.at(-1);
    if (last === undefined || last.stepKey !== stepKey || last.name !== name) {
      last = { stepKey, name, points: [] };
      series.push(last);
    }
    last.points.push({ step, value: Number.isFinite(value) ? value : null });
  }
  return { series };
}

export const toArtifact = (record: ArtifactRecord): Artifact => ({
  digest: record.digest, kind: record.kind, bytes: record.bytes, rows: record.rows, files: record.files.map((file) => ({ ...file })), meta: { ...record.meta }, createdAt: time(record.createdAt),
});
