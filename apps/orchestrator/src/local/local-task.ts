import type { Published } from '@sgpo/artifacts';
import type { Digest, StepParameters, TeacherOptions } from '@sgpo/core';
import type { AttemptRow, RowCounts, TaskResult, TaskRow } from '@sgpo/database';
import type { Services } from '../services.ts';

type WholeKind = 'import-model' | 'ingest' | 'filter' | 'build-sft' | 'pair' | 'measure' | 'report';

/** Frozen with the task when it becomes ready; holds all a local step needs. */
export type LocalTaskSpec =
  | { readonly kind: 'merge'; readonly of: 'generate' | 'teach' | 'score'; readonly shards: readonly Digest[] }
  | { readonly kind: 'teach'; readonly requests: Digest; readonly teacher: TeacherOptions }
  | { readonly [Kind in WholeKind]: { readonly kind: Kind; readonly parameters: StepParameters[Kind]; readonly inputs: Readonly<Record<string, Digest>> } }[WholeKind];

type LocalTaskSpecOf<Kind extends LocalTaskSpec['kind']> = Extract<LocalTaskSpec, { readonly kind: Kind }>;

export interface LocalContext {
  readonly services: Services;
  readonly task: TaskRow;
  readonly attempt: AttemptRow;
  /** Aborts on cancel, on loss of the attempt, and on shutdown. */
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
