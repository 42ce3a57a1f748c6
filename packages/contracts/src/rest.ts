import { runTransitions, stepKinds, stepTransitions, taskTransitions } from '@sgpo/core';
import type { RunState, StepKind, StepState, TaskState } from '@sgpo/core';
import { z } from 'zod';
import { problemSchema } from './problem.ts';
import { runSpecSchema } from './run-spec.ts';

/** Names of a core table as a zod enum: the tables of core stay the only list. */
const namesOf = <Name extends string>(table: Record<Name, unknown>): z.ZodEnum<{ [Key in Name]: Key }> => z.enum(Object.keys(table) as [Name, ...Name[]]);

export const runStateSchema = namesOf<RunState>(runTransitions);
const time = z.string().meta({ format: 'date-time', description: 'UTC' });
const moment = time.nullable();
const digest = z.string().describe('sha256 (hex) of the manifest');
const rowCount = z.int().nullable();
const record = z.record(z.string(), z.unknown());

export const failureSchema = z.object({
  code: z.string(), message: z.string(), remedy: z.string(), problems: z.array(problemSchema).optional(),
}).meta({ id: 'Failure' });

/** `fraction` reaches 1 when the run has succeeded, not before. `tasksTotal` grows while steps expand. */
export const progressSchema = z.object({ tasksDone: z.int(), tasksTotal: z.int(), fraction: z.number().min(0).max(1) }).meta({ id: 'Progress' });

const runFields = {
  id: z.string(), name: z.string().nullable(), preset: z.string(), state: runStateSchema, failure: failureSchema.nullable(), progress: progressSchema,
  createdAt: time, updatedAt: time, startedAt: moment, endedAt: moment,
};
export const runSchema = z.object(runFields).meta({ id: 'Run' });
export type Run = z.output<typeof runSchema>;

const counts = { rowsIn: rowCount, rowsOut: rowCount, dropped: z.record(z.string(), z.int()).nullable().describe('Reason → rows; rowsIn = rowsOut + their sum') };

export const taskSchema = z.object({
  id: z.string(), index: z.int(), role: z.enum(['shard', 'merge', 'whole']), location: z.enum(['local', 'worker']), state: namesOf<TaskState>(taskTransitions),
  posFrom: z.int().nullable(), posTo: z.int().nullable(), rowsDone: z.int(), rowsTotal: z.int(), unit: z.enum(['rows', 'steps']), ...counts,
  output: digest.nullable(), failure: failureSchema.nullable(), attempts: z.int(), notBefore: moment, reuses: z.string().nullable().describe('Task whose output is reused'),
  startedAt: moment, endedAt: moment,
}).meta({ id: 'Task' });

export const stepSchema = z.object({
  id: z.string(), key: z.string(), kind: namesOf<StepKind>(stepKinds), title: z.string(), position: z.int(), state: namesOf<StepState>(stepTransitions), space: z.string().nullable(),
  inputs: z.record(z.string(), z.string()).describe('Role → key of the step that fills it'), ...counts, output: digest.nullable(), stats: record.nullable(),
  startedAt: moment, endedAt: moment, tasks: z.array(taskSchema),
}).meta({ id: 'Step' });

export const runDetailSchema = z.object({ ...runFields, spec: runSpecSchema, steps: z.array(stepSchema) }).meta({ id: 'RunDetail' });
export type RunDetail = z.output<typeof runDetailSchema>;

export const runPageSchema = z.object({ runs: z.array(runSchema), next: z.string().nullable().describe('cursor of the next page; null on the last') }).meta({ id: 'RunPage' });
export type RunPage = z.output<typeof runPageSchema>;

export const eventSchema = z.object({
  sequence: z.int().describe('1, 2, 3 … without gaps in a run'), at: time, type: z.string(), stepKey: z.string().nullable(), taskId: z.string().nullable(), data: record,
}).meta({ id: 'Event' });
export type RunEvent = z.output<typeof eventSchema>;

export const eventPageSchema = z.object({
  events: z.array(eventSchema), last: z.int().describe('after of the next page'), ended: z.boolean().describe('The run has ended and has no later event'),
}).meta({ id: 'EventPage' });
export type EventPage = z.output<typeof eventPageSchema>;

export const metricsSchema = z.object({
  series: z.array(z.object({
    stepKey: z.string(), name: z.string(), points: z.array(z.object({ step: z.int(), value: z.number().nullable().describe('null: not a finite number') })),
  })),
}).meta({ id: 'Metrics' });
export type Metrics = z.output<typeof metricsSchema>;

export const artifactSchema = z.object({
  digest, kind: z.enum(['table', 'model', 'report']), bytes: z.int(), rows: rowCount,
  files: z.array(z.object({ path: z.string(), bytes: z.int(), sha256: z.string() })), meta: record, createdAt: time,
}).meta({ id: 'Artifact' });
export type Artifact = z.output<typeof artifactSchema>;

export const lineageSchema = z.object({
  links: z.array(z.object({
    direction: z.enum(['in', 'out']), role: z.string(), digest, kind: z.string(), stepKey: z.string(), taskId: z.string(), attemptId: z.string(),
    runId: z.string().describe('Another run where the output of that run is reused'),
  })),
}).meta({ id: 'Lineage' });
export type Lineage = z.output<typeof lineageSchema>;

/** report.json as the report step wrote it. */
export const reportSchema = record.meta({ id: 'Report' });
export type Report = z.output<typeof reportSchema>;

export const healthSchema = z.object({ status: z.enum(['ok', 'ready']) }).meta({ id: 'Health' });
