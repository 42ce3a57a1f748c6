import type { DatasetSource, IngestCounts, IngestedRow, RowFormat, RowSpace } from '@sgpo/core';
import { findDataset, readDataset, type DatasetAccess, type DatasetBytes, type DatasetHead } from './dataset.ts';
import type { FileFormat } from './data-file.ts';
import { openIngest, type IngestRequest, type PlacedDrop } from './dataset-ingest.ts';
import { layoutOf } from './dataset-layout.ts';

/** A column by what its first values are: text, number, true or false, list, object, null, or mixed. */
export interface ColumnSketch { readonly name: string; readonly type: 'text' | 'number' | 'boolean' | 'list' | 'object' | 'null' | 'mixed' }

/** What a data set holds and would give. rows = kept + Σ dropped. */
export interface DataCheck extends Pick<IngestCounts, 'dropped' | 'flagged' | 'formats' | 'overlaps'>, DatasetBytes {
  /** Format of the rows. */
  readonly format: RowFormat;
  readonly container: FileFormat;
  readonly schema: readonly ColumnSketch[];
  readonly commit: string | null;
  readonly rows: number;
  readonly kept: number;
  /** The first few dropped rows of each reason. */
  readonly examples: readonly PlacedDrop[];
  readonly warnings: readonly string[];
  /** The first kept rows. */
  readonly sample: readonly IngestedRow[];
}

/** What the head of a set tells. `format` and `columns` are null for remote sets, whose files are listed but not read. */
export interface SourceSketch { readonly format: RowFormat | null; readonly columns: readonly string[] | null; readonly files: readonly { readonly name: string; readonly bytes: number }[]; readonly commit: string | null }

const examplesPerReason = 3;
const sampleRows = 3;

/** Goes through every row of a set as its ingest will, and writes nothing. `onDrop` sees every dropped row. Throws DATASET.* when the set as a whole is of no use. */
export async function checkDataset(request: IngestRequest, access: DatasetAccess, onDrop?: (drop: PlacedDrop) => void): Promise<DataCheck> {
  const ingest = await openIngest(request, access);
  const examples: PlacedDrop[] = [];
  const shown = new Map<string, number>();
  const sample: IngestedRow[] = [];
  for await (const { row } of ingest.rows((drop) => {
    const times = shown.get(drop.reason) ?? 0;
    shown.set(drop.reason, times + 1);
    if (times < examplesPerReason) examples.push(drop);
    onDrop?.(drop);
  })) if (sample.length < sampleRows) sample.push(row);
  const { rowsIn, rowsOut, ...counts } = ingest.counts();
  return {
    format: ingest.layout.format, container: ingest.head.container, schema: sketchColumns(ingest.head), commit: ingest.commit, rows: rowsIn, kept: rowsOut, ...counts,
    ...ingest.bytes(), examples, warnings: warningsOf(ingest.counts()), sample,
  };
}

/**
 * A quick look before anything is built on a set: that it is there, and, where it is on this machine, that its first rows have the columns that
 * rows for `space` need. Throws DATASET.*.
 */
export async function describeSource(source: DatasetSource, { space = 'policy', ...access }: DatasetAccess & { readonly space?: RowSpace }): Promise<SourceSketch> {
  const found = await findDataset(source, access);
  const files = found.files.map(({ name, bytes }) => ({ name, bytes }));
  if (source.hub !== null || found.about.value.startsWith('s3://')) return { format: null, columns: null, files, commit: found.commit };
  const reading = await readDataset(found, source.malformed, { wanted: () => true });
  try {
    return { format: layoutOf(reading.head, source, space, found.about).format, columns: reading.head.columns, files, commit: null };
  } finally {
    await reading.close();
  }
}

function sketchColumns({ columns, rows }: DatasetHead): readonly ColumnSketch[] {
  return columns.map((name) => {
    const types = new Set(rows.flatMap((row) => (row[name] === undefined || row[name] === null ? [] : [typeOf(row[name])])));
    const [type] = types;
    return { name, type: type === undefined ? 'null' : types.size > 1 ? 'mixed' : type };
  });
}

function typeOf(value: unknown): ColumnSketch['type'] {
  if (Array.isArray(value)) return 'list';
  if (typeof value === 'string') return 'text';
  if (typeof value === 'boolean') return 'boolean';
  return typeof value === 'number' || typeof value === 'bigint' ? 'number' : 'object';
}

const muchDropped = 0.2;

function warningsOf({ rowsIn, rowsOut, dropped, flagged, formats, overlaps }: IngestCounts): readonly string[] {
  const warnings: string[] = [];
  if (rowsOut === 0) warnings.push('No row is usable');
  const reasons = Object.entries(dropped).filter(([reason]) => reason !== 'over_limit').toSorted(([, a], [, b]) => b - a);
  const lost = reasons.reduce((sum, [, rows]) => sum + rows, 0);
  const [most] = reasons;
  if (most !== undefined && lost > muchDropped * rowsIn) warnings.push(`${String(lost)} of ${String(rowsIn)} rows are dropped${reasons.length === 1 || most[1] > lost / 2 ? `, most of them (${String(most[1])}) as ${most[0]}` : ''}`);
  const kinds = Object.entries(formats);
  if (kinds.length > 1) warnings.push(`The rows have several formats: ${kinds.map(([format, rows]) => `${format} (${String(rows)})`).join(', ')}`);
  if (overlaps > 0) warnings.push(`Kept rows with a prompt of the held-out set: ${String(overlaps)}`);
  for (const [flag, rows] of Object.entries(flagged)) warnings.push(`Kept rows flagged ${flag}: ${String(rows)}`);
  return warnings;
}
