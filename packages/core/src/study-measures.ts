/** What a study compares: one number a run, read from its report. */
import type { Report, ReportHeldOut, ReportRound } from './report-types.ts';

interface StudyMeasure {
  readonly title: string;
  /** null: neither is better as such. */
  readonly better: 'lower' | 'higher' | null;
  readonly digits: number;
  /** null: the run has no such number. */
  readonly read: (report: Report) => number | null;
}

const finalModel = ({ heldOut }: Report): ReportHeldOut['measures'] => heldOut.at(-1)?.measures ?? null;
const finalRound = ({ rounds }: Report): ReportRound | null => rounds.at(-1) ?? null;

/**
 * Of the final model, the last round, or the whole run. Edit distances and lengths are in characters, `length` in tokens. What is measured on a method's
 * own pairs (accuracy, margin), or falls on whichever run came first (cost), ranks no method: neither is called better.
 */
export const studyMeasures = {
  referencePerplexity: { title: 'reference perplexity', better: 'lower', digits: 3, read: (report) => finalModel(report)?.referencePerplexity ?? null },
  chrf: { title: 'chrF', better: 'higher', digits: 2, read: (report) => finalModel(report)?.chrf ?? null },
  length: { title: 'tokens an answer', better: null, digits: 1, read: (report) => finalModel(report)?.length ?? null },
  unfinished: { title: 'share unfinished', better: 'lower', digits: 3, read: (report) => finalModel(report)?.unfinished ?? null },
  pairs: { title: 'pairs of the last round', better: null, digits: 0, read: (report) => finalRound(report)?.pairs ?? null },
  finalLoss: { title: 'final loss', better: null, digits: 4, read: (report) => finalRound(report)?.finalLoss ?? null },
  rewardAccuracy: { title: 'reward accuracy', better: null, digits: 3, read: (report) => finalRound(report)?.rewardAccuracy ?? null },
  rewardMargin: { title: 'reward margin', better: null, digits: 4, read: (report) => finalRound(report)?.rewardMargin ?? null },
  chosenToRejected: { title: 'edits chosen – rejected (characters)', better: null, digits: 1, read: ({ editDistance }) => editDistance.rounds.at(-1)?.chosenToRejected?.meanCharacters ?? null },
  chosenToReference: { title: 'edits chosen – y_sft (characters)', better: null, digits: 1, read: ({ editDistance }) => editDistance.rounds.at(-1)?.chosenToReference?.meanCharacters ?? null },
  lengthRatio: { title: 'chosen / rejected length (ratio of characters)', better: null, digits: 2, read: ({ lengths }) => lengths.rounds.at(-1)?.ratio ?? null },
  improvedToDraft: { title: 'edits ŷ – y₀ (characters)', better: null, digits: 1, read: ({ editDistance }) => editDistance.improvedToDraft?.meanCharacters ?? null },
  improvedToReference: { title: 'edits ŷ – y_sft (characters)', better: null, digits: 1, read: ({ editDistance }) => editDistance.improvedToReference?.meanCharacters ?? null },
  keptImproved: { title: 'ŷ kept by the filter', better: null, digits: 0, read: ({ filter }) => filter?.improved?.kept ?? null },
  keptExternal: { title: 'y_ext kept by the filter', better: null, digits: 0, read: ({ filter }) => filter?.external?.kept ?? null },
  teacherCalls: { title: 'teacher answers made', better: null, digits: 0, read: ({ teacher }) => teacher?.calls ?? null },
  teacherReused: { title: 'teacher answers reused', better: null, digits: 0, read: ({ teacher }) => teacher?.reused ?? null },
  teacherCost: { title: 'teacher cost (currency of the price)', better: null, digits: 4, read: ({ teacher }) => teacher?.cost ?? null },
  seconds: { title: 'seconds from start to end, waits included', better: null, digits: 1, read: ({ run }) => run.seconds },
  tasks: { title: 'tasks', better: null, digits: 0, read: ({ steps }) => steps.reduce((sum, { tasks }) => sum + tasks, 0) },
  cachedTasks: { title: 'tasks shared', better: null, digits: 0, read: ({ steps }) => steps.reduce((sum, { cached }) => sum + cached, 0) },
  warnings: { title: 'warnings', better: null, digits: 0, read: ({ warnings }) => warnings.length },
} as const satisfies Readonly<Record<string, StudyMeasure>>;

export type StudyMeasureName = keyof typeof studyMeasures;
export const studyMeasureNames = Object.keys(studyMeasures) as StudyMeasureName[];

/** The same table without its literal types. */
export const studyMeasureOf = (name: StudyMeasureName): StudyMeasure => studyMeasures[name];
