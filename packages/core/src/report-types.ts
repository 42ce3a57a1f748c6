/** The shapes of a report and of what it is built from. The JSON of a run's report is `Report`. */
import type { EditDistance } from './edit-distance.ts';
import type { StepKind } from './plan.ts';
import type { RunSpec } from './spec.ts';
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
}
export interface ReportInput {
  readonly run: { readonly id: string; readonly preset: string; readonly spec: RunSpec; readonly startedAt: Date | null };
  /** The moment the report speaks of. */
  readonly endedAt: Date;
  /** The report step itself is left out: it has not ended. */
  readonly steps: readonly ReportStepInput[];
  /** TRL's names; step 0 is measured before the first update. */
  readonly metrics: readonly MetricPoint[];
  readonly artifacts: readonly ReportArtifactInput[];
  /** Beside those that the artifacts tell. */
  readonly versions?: Readonly<Record<string, string>>;
}

export interface ReportStep {
  readonly key: string; readonly kind: StepKind; readonly status: StepState;
  readonly tasks: number; readonly cached: number; readonly seconds: number | null;
  /** null for steps that have no rows, or have not ended. */
  readonly rowsIn: number | null; readonly rowsOut: number | null; readonly dropped: Readonly<Record<string, number>>;
}
export interface ReportFilter {
  readonly q1: number | null; readonly q3: number | null; readonly low: number | null; readonly high: number | null;
  readonly total: number; readonly kept: number; readonly tooShort: number;
}
export interface ReportRound {
  readonly round: number; readonly pairs: number | null;
  /** Before the first update. */
  readonly firstLoss: number | null; readonly firstMargin: number | null;
  /** As logged last. */
  readonly finalLoss: number | null; readonly rewardAccuracy: number | null; readonly rewardMargin: number | null; readonly chosenLogp: number | null; readonly rejectedLogp: number | null;
}
export interface ReportMeasures { readonly referencePerplexity: number | null; readonly chrf: number | null; readonly length: number | null; readonly unfinished: number | null }
export interface ReportWarning { readonly code: string; readonly step: string | null; readonly message: string }

export interface Report {
  readonly run: { readonly id: string; readonly preset: string; readonly status: 'succeeded' | 'failed' | 'canceled' | 'running'; readonly seconds: number | null; readonly seed: number };
  readonly steps: readonly ReportStep[];
  /** null: the set is no target of this run. */
  readonly filter: { readonly improved: ReportFilter | null; readonly external: ReportFilter | null };
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
  readonly heldOut: { readonly pi0: ReportMeasures | null; readonly improver: ReportMeasures | null; readonly rounds: readonly (ReportMeasures | null)[] };
  /** `cost` null: a price is unknown. */
  readonly teacher: { readonly calls: number; readonly reused: number; readonly promptTokens: number; readonly completionTokens: number; readonly cost: number | null };
  readonly artifacts: readonly { readonly role: string; readonly kind: string; readonly digest: string; readonly path: string; readonly rows: number | null; readonly bytes: number }[];
  readonly versions: Readonly<Record<string, string>>;
  readonly provenance: readonly {
    readonly role: string; readonly digest: string; readonly seed: number | null; readonly promptHash: string | null; readonly engine: string | null;
    readonly details: Readonly<Record<string, string | number | boolean>>;
  }[];
  readonly warnings: readonly ReportWarning[];
}
