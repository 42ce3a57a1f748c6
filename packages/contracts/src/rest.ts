import { runTransitions, stepKinds, stepTransitions, taskTransitions } from '@sgpo/core';
import type { RunState, StepKind, StepState, TaskState } from '@sgpo/core';
import { z } from 'zod';
import { problemSchema } from './problem.ts';
import { runSpecSchema } from './run-spec.ts';
import { datasetSource } from './spec-data.ts';
import { budget } from './spec-teacher.ts';

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

const studyEntry = z.object({ id: z.string(), label: z.string(), model: z.string(), seed: z.int() }).meta({ id: 'StudyEntry' });

const runFields = {
  id: z.string(), name: z.string().nullable(), preset: z.string(), state: runStateSchema, failure: failureSchema.nullable(), progress: progressSchema,
  pauseReason: z.enum(['budget']).nullable().describe('Set while the run is paused'), budget: budget.describe('Of the teacher, as it stands now'),
  preview: z.boolean().describe('A preview of a run'), study: studyEntry.nullable().describe('The study the run belongs to'),
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

export const spentSchema = z.object({
  calls: z.int(), promptTokens: z.int(), completionTokens: z.int(), cost: z.number().nullable().describe('null: the price is unknown'),
}).meta({ id: 'Spent' });

export const runDetailSchema = z.object({ ...runFields, spent: spentSchema.describe('Answers of the teacher the run was charged for'), spec: runSpecSchema, steps: z.array(stepSchema) }).meta({ id: 'RunDetail' });
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

/** Body of POST /v1/runs/{id}/resume. */
export const resumeBodySchema = z.strictObject({
  budget: z.strictObject({ tokens: budget.shape.tokens.unwrap().optional(), cost: budget.shape.cost.unwrap().optional() }).optional()
    .describe('Limits that change: one that is left out stays as it was, null lifts it'),
}).meta({ id: 'Resume' });
export type ResumeBody = z.input<typeof resumeBodySchema>;

const templatePreview = z.object({
  prompt: z.string().describe('Name of the template'), step: z.string(), rows: z.array(z.object({ id: z.string(), messages: z.array(z.object({ role: z.string(), content: z.string() })) })),
  placeholders: z.array(z.string()).describe('Parts that are not known before the run, and what stands for them'),
});

export const estimateSchema = z.object({
  steps: z.array(z.object({
    key: z.string(), kind: z.string(), title: z.string(), rows: z.int().nullable().describe('null: not known before the run'), promptTokens: z.int().nullable(), completionTokens: z.int().nullable(),
    seconds: z.number().nullable().describe('Of one worker, from past rates; null: no such work is on record'),
  })),
  teacher: z.object({ calls: z.int(), promptTokens: z.int(), completionTokens: z.int(), cost: z.number().nullable(), reason: z.string().nullable().describe('Why the cost is not known') }).nullable(),
  worker: z.object({ seconds: z.number().nullable(), unknown: z.array(z.string()).describe('Kinds of steps without past rates') }),
  sets: z.array(z.object({
    space: z.string(), format: z.string(), rowsIn: z.int(), rowsOut: z.int(), dropped: z.record(z.string(), z.int()), flagged: z.record(z.string(), z.int()),
    drops: z.array(z.object({ row: z.int().describe('Line, or number of the row, from 1'), file: z.string().nullable().describe('Set where the set has several'), reason: z.string(), detail: z.string() }))
      .describe('Dropped rows, the first 1000 of a set; over_limit has none'),
    dropsLeftOut: z.int().describe('Dropped rows that are not listed'),
  })),
  prompts: z.array(templatePreview),
  assumptions: z.array(z.string()).describe('What the numbers rest on'),
}).meta({ id: 'Estimate' });
export type Estimate = z.output<typeof estimateSchema>;

/** preview.json as the preview step writes it. */
export const previewResultSchema = z.object({
  rows: z.array(z.object({
    space: z.enum(['improver', 'policy', 'preferences']), id: z.string(), prompt: z.array(z.object({ role: z.string(), content: z.string() })),
    reference: z.string().nullable(), draft: z.string().nullable(), improved: z.string().nullable(), external: z.string().nullable(),
    chosen: z.string().nullable().describe('y⁺, y_sft or the given one'), rejected: z.string().nullable(),
    perplexity: z.object({ improved: z.number().nullable(), external: z.number().nullable() }),
    verdicts: z.record(z.string(), z.string()).describe('improved, external, pair → kept, or the reason against it'),
  })),
  spent: spentSchema, notes: z.array(z.string()),
}).meta({ id: 'PreviewResult' });
export type PreviewResult = z.output<typeof previewResultSchema>;

export const previewSchema = z.object({
  run: runSchema, result: previewResultSchema.nullable().describe('null: not finished yet; ask for the report of the run later'),
}).meta({ id: 'Preview' });
export type Preview = z.output<typeof previewSchema>;

const label = z.string().min(1).max(200);

/** Body of POST /v1/studies: `base` with every preset, model and seed, or a list of changes to `base`. */
export const studyBodySchema = z.strictObject({
  name: label,
  base: z.record(z.string(), z.unknown()).describe('What all runs share: a run spec without what the lists vary'),
  presets: z.array(z.string().max(200)).min(1).max(50).optional(),
  models: z.array(z.record(z.string(), z.unknown())).min(1).max(20).optional().describe('Values of model'),
  seeds: z.array(z.int().min(0).max(2 ** 31 - 1)).min(1).max(50).optional(),
  runs: z.array(z.strictObject({ label, changes: z.record(z.string(), z.unknown()) })).min(1).max(200).optional()
    .describe('Instead of the lists: changes to base, section by section'),
}).meta({ id: 'NewStudy' });
export type StudyBody = z.input<typeof studyBodySchema>;

export const studySchema = z.object({
  id: z.string(), name: z.string(), state: z.enum(['running', 'succeeded', 'failed']).describe('failed: every run has ended, not all of them well'), createdAt: time,
  runs: z.array(runSchema),
}).meta({ id: 'Study' });
export type Study = z.output<typeof studySchema>;
export const studyPageSchema = z.object({ studies: z.array(z.object({ id: z.string(), name: z.string(), createdAt: time })), next: z.string().nullable() }).meta({ id: 'StudyPage' });
export type StudyPage = z.output<typeof studyPageSchema>;
/** The methods side by side, as core/study-report.ts builds it. */
export const studyReportSchema = record.meta({ id: 'StudyReport' });
export type StudyReport = z.output<typeof studyReportSchema>;

/** Body of POST /v1/datasets. */
export const datasetBodySchema = z.strictObject({
  name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/, { error: 'Give letters, digits, dots, dashes and underscores' }),
  source: datasetSource, as: z.enum(['sft', 'improver', 'policy', 'preferences']).describe('How its rows are read'), license: z.string().min(1).max(1000).nullable().default(null),
}).meta({ id: 'NewDataset' });
export type DatasetBody = z.input<typeof datasetBodySchema>;
export const datasetSchema = z.object({
  name: z.string(), state: z.enum(['registering', 'ready', 'failed']), as: z.string(), source: datasetSource, license: z.string().nullable(),
  schema: z.object({ format: z.string(), columns: z.array(z.string()) }).nullable(),
  counts: z.object({ rowsIn: z.int(), rowsOut: z.int(), dropped: z.record(z.string(), z.int()), flagged: z.record(z.string(), z.int()) }).nullable(),
  sha256: z.string().nullable(), preview: z.array(record).nullable(), failure: failureSchema.nullable(), createdAt: time, updatedAt: time,
}).meta({ id: 'Dataset' });
export type Dataset = z.output<typeof datasetSchema>;
export const datasetPageSchema = z.object({ datasets: z.array(datasetSchema), next: z.string().nullable() }).meta({ id: 'DatasetPage' });
export type DatasetPage = z.output<typeof datasetPageSchema>;

export const recipeListSchema = z.object({
  recipes: z.array(z.object({ preset: z.string(), paper: z.string(), options: record, defaults: record, needs: z.array(z.string()).describe('Data sets and sections a spec must give') })),
}).meta({ id: 'Recipes' });
export type RecipeList = z.output<typeof recipeListSchema>;
