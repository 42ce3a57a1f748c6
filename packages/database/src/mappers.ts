/** From rows to what the rest of the product works with: one function a table. */
import {
  attemptTransitions, runTransitions, stepKinds, stepTransitions, taskTransitions,
  type AttemptId, type DatasetId, type Digest, type RunId, type StepId, type StudyId, type TaskId, type TeamId, type WorkerId,
} from '@sgpo/core';
import type { Artifact, Attempt, Dataset, Event, Run, Step, Study, Task, TeacherBatch, Worker } from './generated/client.ts';
import { fromJson } from './json.ts';
import type { ArtifactRecord, AttemptRow, DatasetRow, EventRow, RowCounts, RunRow, StepRow, StudyRow, TaskRow, TeacherBatchRow, WorkerRow } from './repositories.ts';

const taskRoles = { shard: true, merge: true, whole: true } as const;
const locations = { local: true, worker: true } as const;
const units = { rows: true, steps: true } as const;
const artifactKinds = { table: true, model: true, report: true } as const;
const pauseReasons = { budget: true } as const;
const datasetStates = { registering: true, ready: true, failed: true } as const;
const datasetSpaces = { sft: true, improver: true, policy: true, preferences: true } as const;

/** `text` as a key of `table`: a column that holds anything else was written by something that is not this product. */
function keyOf<Table extends object>(column: string, table: Table, text: string): keyof Table & string {
  if (!Object.hasOwn(table, text)) throw new TypeError(`column ${column} holds ${JSON.stringify(text)}; it must be one of ${Object.keys(table).join(', ')}`);
  return text as keyof Table & string;
}

const counts = (row: Pick<Task | Step, 'rowsIn' | 'rowsOut' | 'dropped'>): Partial<RowCounts> =>
  row.rowsIn === null || row.rowsOut === null ? {} : { rowsIn: row.rowsIn, rowsOut: row.rowsOut, dropped: fromJson(row.dropped ?? {}) };

export const toRunRow = (row: Run): RunRow => ({
  id: row.id as RunId, teamId: row.teamId as TeamId, name: row.name, preset: row.preset, state: keyOf('run.state', runTransitions, row.state),
  spec: fromJson(row.spec), failure: fromJson(row.failure), pauseReason: row.pauseReason === null ? null : keyOf('run.pause_reason', pauseReasons, row.pauseReason),
  budget: fromJson(row.budget), studyId: row.studyId as StudyId | null, studyEntry: fromJson(row.studyEntry), tasksDone: row.tasksDone, tasksTotal: row.tasksTotal, eventSequence: row.eventSequence,
  createdAt: row.createdAt, updatedAt: row.updatedAt, startedAt: row.startedAt, endedAt: row.endedAt,
});

export const toStepRow = (row: Step): StepRow => ({
  id: row.id as StepId, runId: row.runId as RunId, key: row.key, kind: keyOf('step.kind', stepKinds, row.kind), title: row.title,
  position: row.position, state: keyOf('step.state', stepTransitions, row.state), space: row.space, inputs: fromJson(row.inputs), parameters: fromJson(row.parameters),
  output: row.output as Digest | null, ...counts(row), stats: fromJson(row.stats), startedAt: row.startedAt, endedAt: row.endedAt,
});

export const toTaskRow = (row: Task): TaskRow => ({
  id: row.id as TaskId, stepId: row.stepId as StepId, runId: row.runId as RunId, index: row.index, role: keyOf('task.role', taskRoles, row.role),
  location: keyOf('task.location', locations, row.location), state: keyOf('task.state', taskTransitions, row.state), posFrom: row.posFrom, posTo: row.posTo,
  cacheKey: row.cacheKey, spec: fromJson(row.spec), rowsDone: row.rowsDone, rowsTotal: row.rowsTotal, unit: keyOf('task.unit', units, row.unit),
  output: row.output as Digest | null, ...counts(row), stats: fromJson(row.stats), failure: fromJson(row.failure), attempts: row.attempts, notBefore: row.notBefore,
  reuses: row.reuses as TaskId | null, createdAt: row.createdAt, startedAt: row.startedAt, endedAt: row.endedAt,
});

export const toAttemptRow = (row: Attempt): AttemptRow => ({
  id: row.id as AttemptId, taskId: row.taskId as TaskId, runId: row.runId as RunId, number: row.number, fence: row.fence,
  state: keyOf('attempt.state', attemptTransitions, row.state), workerId: row.workerId as WorkerId | null, cancelWanted: row.cancelWanted, eventsSeen: row.eventsSeen,
  failure: fromJson(row.failure), provenance: fromJson(row.provenance), createdAt: row.createdAt, startedAt: row.startedAt, endedAt: row.endedAt,
});

export const toWorkerRow = (row: Worker): WorkerRow => ({
  id: row.id as WorkerId, address: row.address, instanceId: row.instanceId, engine: row.engine, deterministic: row.deterministic, deviceKind: row.deviceKind,
  devices: fromJson(row.devices), slots: row.slots, draining: row.draining, warmModel: row.warmModel, versions: fromJson(row.versions), lastSeenAt: row.lastSeenAt,
});

export const toArtifactRecord = (row: Artifact): ArtifactRecord => ({
  digest: row.digest as Digest, kind: keyOf('artifact.kind', artifactKinds, row.kind), bytes: Number(row.bytes), rows: row.rows,
  files: fromJson(row.files), meta: fromJson(row.meta), createdAt: row.createdAt,
});

export const toEventRow = (row: Event): EventRow => ({
  sequence: row.sequence, at: row.at, type: row.type, stepKey: row.stepKey, taskId: row.taskId as TaskId | null, data: fromJson(row.data),
});

export const toTeacherBatchRow = (row: TeacherBatch): TeacherBatchRow => ({
  id: row.id, key: row.key, batchId: row.batchId, inputFileId: row.inputFileId, requests: row.requests, createdAt: row.createdAt,
});

export const toStudyRow = (row: Study): StudyRow => ({ id: row.id as StudyId, teamId: row.teamId as TeamId, name: row.name, request: row.request, createdAt: row.createdAt });

export const toDatasetRow = (row: Dataset): DatasetRow => ({
  id: row.id as DatasetId, teamId: row.teamId as TeamId, name: row.name, state: keyOf('dataset.state', datasetStates, row.state),
  space: keyOf('dataset.space', datasetSpaces, row.space), source: fromJson(row.source), license: row.license, schema: fromJson(row.schema), counts: fromJson(row.counts),
  sha256: row.sha256, preview: fromJson(row.preview), failure: fromJson(row.failure), createdAt: row.createdAt, updatedAt: row.updatedAt,
});
