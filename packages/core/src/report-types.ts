/** The shapes of a report and of what it is built from. The JSON of a run's report is `Report`. */
import type { EditDistance } from './edit-distance.ts';
import type { LossName, PreferenceTrainer } from './losses.ts';
import type { RowSpace, StepKind } from './plan.ts';
import type { ReplayStats } from './replay.ts';
import type { RowFlag } from './row-formats.ts';
import type { Budget, FilterOptions, LoraOptions, RecipeOptions, RuleOptions, RunSpec, TeacherOptions, TrainingOptions } from './spec.ts';
import type { StepState, TaskState } from './states.ts';

export interface ReportStepInput {
  readonly key: string; readonly kind: StepKind; readonly state: StepState;
  readonly rowsIn?: number | undefined; readonly rowsOut?: number | undefined; readonly dropped?: Readonly<Record<string, number>> | undefined;
  /** What the step's kind leaves: checked field by field. */
  readonly stats: object | null; readonly startedAt: Date | null; readonly endedAt: Date | null;
  readonly tasks: readonly { readonly state: TaskState }[];
}
export interface MetricPoint { readonly stepKey: string; readonly name: string; readonly step: number; readonly value: number }
export interface ReportArtifactInput {
  /** Key of the step whose output it is. */
  readonly role: string;
  readonly kind: string; readonly digest: string; readonly path: string; readonly rows: number | null; readonly bytes: number;
  /** Facts about how it was made; texts, numbers and booleans reach the report. */
  readonly meta?: Readonly<Record<string, unknown>>;
  /** training_statistics.json of a trained model, as it lies there: checked field by field. */
  readonly training?: object | null;
}
export interface ReportInput {
  readonly run: {
    readonly id: string; readonly preset: string; readonly spec: RunSpec; readonly startedAt: Date | null;
    /** As it stands now: it may have been raised; absent: that of the spec. */
    readonly budget?: Budget;
  };
  /** The moment the report speaks of. */
  readonly endedAt: Date;
  /** The report step itself is left out: it has not ended. */
  readonly steps: readonly ReportStepInput[];
  /** TRL's names; step 0 is measured before the first update. */
  readonly metrics: readonly MetricPoint[];
  readonly artifacts: readonly ReportArtifactInput[];
  /** How often the run paused because its budget was spent. */
  readonly budgetPauses?: number;
  /** Beside those that the artifacts tell. */
  readonly versions?: Readonly<Record<string, string>>;
}

export interface ReportStep {
  readonly key: string; readonly kind: StepKind; readonly status: StepState;
  readonly tasks: number; readonly cached: number; readonly seconds: number | null;
  /** null for steps that have no rows, or have not ended. */
  readonly rowsIn: number | null; readonly rowsOut: number | null; readonly dropped: Readonly<Record<string, number>>;
  /** Kept rows with a mark against them, by flag; a row may have several. */
  readonly flagged: Readonly<Record<string, number>>;
}
/** What decided which rows were learnt from; null where the recipe has no such step. */
export interface ReportRules {
  /** Of each set the run reads. */
  readonly dropFlagged: Readonly<Partial<Record<RowSpace, readonly RowFlag[]>>>;
  readonly heldOutOverlap: 'drop' | 'keep' | null; readonly scores: 'check' | 'ignore' | null; readonly filter: FilterOptions | null;
  readonly unfinished: RuleOptions['unfinished'] | null; readonly targetFlaws: RuleOptions['targetFlaws'] | null; readonly chosenFlaws: RuleOptions['chosenFlaws'] | null;
  readonly copyOfDraft: RuleOptions['copyOfDraft'] | null; readonly replay: number | null;
}
export interface ReportFilter {
  readonly q1: number | null; readonly q3: number | null; readonly low: number | null; readonly high: number | null;
  readonly total: number; readonly kept: number; readonly tooShort: number;
}
export interface ReportRound {
  readonly round: number; readonly trainer: PreferenceTrainer; readonly losses: readonly LossName[];
  /** Names of the models it starts from and compares with; `reference` null: with none. */
  readonly policy: string; readonly reference: string | null;
  readonly pairs: number | null;
  /** Before the first update. */
  readonly firstLoss: number | null; readonly firstMargin: number | null;
  /** As logged last. */
  readonly finalLoss: number | null; readonly rewardAccuracy: number | null; readonly rewardMargin: number | null; readonly chosenLogp: number | null; readonly rejectedLogp: number | null;
}
/** A training, as it was asked for and as its statistics tell; null where there are none. */
export interface ReportTraining {
  readonly step: string; readonly title: string;
  readonly published: TrainingOptions['publish']; readonly lora: LoraOptions | null; readonly validation: TrainingOptions['validation'];
  readonly updates: number | null; readonly parameters: { readonly trained: number; readonly total: number } | null;
  /** Values of the validation's measure. */
  readonly measurements: readonly TrainingMeasurement[]; readonly best: TrainingMeasurement | null;
}
export interface TrainingMeasurement { readonly step: number; readonly value: number }
export interface ReportMeasures { readonly referencePerplexity: number | null; readonly chrf: number | null; readonly length: number | null; readonly unfinished: number | null }
/** A model of the plan by its name there (pi0, improver, round1 …); `measures` null: not evaluated. */
export interface ReportHeldOut { readonly name: string; readonly title: string; readonly measures: ReportMeasures | null }
export interface ReportTeacher {
  readonly source: TeacherOptions['source']; readonly model: string | null; readonly mode: TeacherOptions['mode'] | null;
  /** Answers made for this run, and answers it took from what was made before. */
  readonly calls: number; readonly reused: number; readonly batches: number; readonly promptTokens: number; readonly completionTokens: number;
  /** `cost` null: unknown, and `costUnknown` says why. */
  readonly cost: number | null; readonly costUnknown: string | null;
  readonly budget: Budget; readonly budgetPauses: number;
}
export interface ReportWarning { readonly code: string; readonly step: string | null; readonly message: string }

export interface Report {
  readonly run: { readonly id: string; readonly preset: string; readonly status: 'succeeded' | 'failed' | 'canceled' | 'running'; readonly seconds: number | null; readonly seed: number };
  readonly recipe: RecipeOptions;
  readonly rules: ReportRules;
  readonly steps: readonly ReportStep[];
  /** null: the recipe has no filter. Of its sets null: no target of this run. */
  readonly filter: { readonly improved: ReportFilter | null; readonly external: ReportFilter | null } | null;
  /** null: no share of replay was asked for, or the training set is not made yet. */
  readonly replay: ReplayStats | null;
  readonly editDistance: {
    readonly improvedToDraft: EditDistance | null; readonly improvedToReference: EditDistance | null;
    readonly rounds: readonly { readonly round: number; readonly chosenToRejected: EditDistance | null; readonly chosenToReference: EditDistance | null }[];
  };
  /** Mean characters. */
  readonly lengths: {
    readonly draft: number | null; readonly reference: number | null; readonly improved: number | null; readonly external: number | null;
    readonly rounds: readonly { readonly round: number; readonly chosen: number | null; readonly rejected: number | null; readonly ratio: number | null }[];
  };
  readonly rounds: readonly ReportRound[];
  readonly trainings: readonly ReportTraining[];
  /** Every model but a base before Step 0, in the order they come into being. */
  readonly heldOut: readonly ReportHeldOut[];
  /** null: the recipe asks none. */
  readonly teacher: ReportTeacher | null;
  readonly artifacts: readonly { readonly role: string; readonly kind: string; readonly digest: string; readonly path: string; readonly rows: number | null; readonly bytes: number }[];
  readonly versions: Readonly<Record<string, string>>;
  readonly provenance: readonly {
    readonly role: string; readonly digest: string; readonly seed: number | null; readonly promptHash: string | null; readonly engine: string | null;
    readonly details: Readonly<Record<string, string | number | boolean>>;
  }[];
  readonly warnings: readonly ReportWarning[];
}
