import type { Artifact, Dataset, Metrics, Run, RunDetail, RunEvent, Study } from '@sgpo/contracts';
import { costOfTeacher, isTerminal } from '@sgpo/core';
import type { Failure } from '@sgpo/core';
import type { ArtifactRecord, DatasetRow, EventRow, MetricRow, RowCounts, RunRow, RunTree, Spent, StepRow, StudyRow, TaskRow } from '@sgpo/database';
import { toWire } from './wire.ts';

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
    progress: { tasksDone: row.tasksDone, tasksTotal: row.tasksTotal, fraction: fractionOf(row) }, pauseReason: row.pauseReason, budget: { ...row.budget }, preview: row.spec.preview !== null,
    study: toStudyEntry(row),
    createdAt: time(row.createdAt), updatedAt: time(row.updatedAt), startedAt: moment(row.startedAt), endedAt: moment(row.endedAt),
  };
}

function toStudyEntry({ studyId, studyEntry }: RunRow): Run['study'] {
  if (studyId === null || studyEntry === null) return null;
  const { label, model, seed } = studyEntry;
  return { id: studyId, label, model, seed };
}

/** `spent`: what the run was charged. */
export function toRunDetail({ run, steps }: RunTree, spent: Spent): RunDetail {
  return { ...toRun(run), spent: toSpent(run, spent), spec: toWire(run.spec), steps: steps.map((step) => ({ ...toStep(step), tasks: step.tasks.map(toTask) })) };
}

const toSpent = ({ spec }: RunRow, { calls, promptTokens, completionTokens }: Spent): RunDetail['spent'] =>
  ({ calls, promptTokens, completionTokens, cost: costOfTeacher(spec.teacher, { promptTokens, completionTokens }) });

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

/** A study is running while one of its runs has not ended: a paused run goes on. */
export function toStudy({ id, name, createdAt }: StudyRow, runs: readonly RunRow[]): Study {
  const state = runs.some((run) => !isTerminal('run', run.state)) ? 'running' : runs.every((run) => run.state === 'succeeded') ? 'succeeded' : 'failed';
  return { id, name, state, createdAt: time(createdAt), runs: runs.map(toRun) };
}

export function toDataset(row: DatasetRow): Dataset {
  const { name, state, source, license, schema, counts: found, sha256, preview, failure, createdAt, updatedAt } = row;
  return {
    name, state, as: row.space, source: toWire(source), license, schema: schema === null ? null : { format: schema.format, columns: [...schema.columns] }, counts: found === null ? null : toWire(found),
    sha256, preview: preview === null ? null : preview.map((one) => toWire(one as Record<string, unknown>)), failure: toFailure(failure), createdAt: time(createdAt), updatedAt: time(updatedAt),
  };
}
