import type { Published } from '@sgpo/artifacts';
import type { Digest, EndpointTeacher, StepParameters } from '@sgpo/core';
import type { AttemptRow, RowCounts, TaskResult, TaskRow } from '@sgpo/database';
import type { Services } from '../services.ts';

type WholeKind = 'ingest' | 'filter' | 'build-sft' | 'pair' | 'measure' | 'preview' | 'report';

/** Frozen with the task when it becomes ready; holds all a local step needs. */
export type LocalTaskSpec =
  | { readonly kind: 'merge'; readonly of: 'generate' | 'teach' | 'score'; readonly shards: readonly Digest[] }
  | { readonly kind: 'teach'; readonly requests: Digest; readonly teacher: EndpointTeacher }
  /** `field`: where the spec of the run names the model. */
  | { readonly kind: 'import-model'; readonly parameters: StepParameters['import-model']; readonly field: 'model' | 'teacher.weights' }
  | { readonly [Kind in WholeKind]: { readonly kind: Kind; readonly parameters: StepParameters[Kind]; readonly inputs: Readonly<Record<string, Digest>> } }[WholeKind];

type LocalTaskSpecOf<Kind extends LocalTaskSpec['kind']> = Extract<LocalTaskSpec, { readonly kind: Kind }>;

/**
 * Why a step is told to stop, as the reason of its signal. canceled: nobody wants the result. shutdown: this process ends, and the step is taken up again
 * elsewhere or later. taken: this process could not keep its hold, and another one has the step already. Work that was paid for and that is still under
 * way at others is given up for `canceled` alone.
 */
export type StopReason = 'canceled' | 'shutdown' | 'taken';

export interface LocalContext {
  readonly services: Services;
  readonly task: TaskRow;
  readonly attempt: AttemptRow;
  /** Aborts with a StopReason. */
  readonly signal: AbortSignal;
  readonly progress: (done: number, total: number) => void;
}

/** One kind of local step: effects at its edges, decisions from core. */
export type LocalStep<Kind extends LocalTaskSpec['kind']> = (context: LocalContext, spec: LocalTaskSpecOf<Kind>) => Promise<TaskResult>;

/** The result of a step that wrote a table; `rows` is what the table holds. */
export function tableResult(published: Published & { readonly rows: number }, counts: RowCounts, extra: { readonly stats?: Readonly<Record<string, unknown>>; readonly meta?: Readonly<Record<string, unknown>> } = {}): TaskResult {
  return {
    output: { digest: published.digest, kind: 'table', bytes: published.bytes, rows: published.rows, files: published.files, meta: extra.meta ?? {} },
    ...counts, stats: extra.stats ?? {}, provenance: {}, peakRssBytes: null,
  };
}

/** Counts rows by their drop reason: null is kept. */
export function createCounter(): { count(reason: string | null): void; counts(): RowCounts } {
  let rowsIn = 0;
  const dropped: Record<string, number> = {};
  return {
    count(reason) {
      rowsIn += 1;
      if (reason !== null) dropped[reason] = (dropped[reason] ?? 0) + 1;
    },
    counts: () => ({ rowsIn, rowsOut: rowsIn - Object.values(dropped).reduce((sum, n) => sum + n, 0), dropped }),
  };
}
