import { createIngest, isDrop, type DatasetSource, type DroppedRow, type IngestCounts, type IngestedRow, type IngestOptions, type RowLayout, type RowSpace } from '@sgpo/core';
import { findDataset, readDataset, type DatasetAccess, type DatasetBytes, type DatasetHead } from './dataset.ts';
import { problem } from './dataset-errors.ts';
import { layoutOf } from './dataset-layout.ts';

/** A data set and what its rows are for. Without `against` no other set's prompts are looked for. */
export interface IngestRequest extends Pick<IngestOptions, 'scores'>, Partial<Pick<IngestOptions, 'against' | 'heldOutOverlap'>> { readonly source: DatasetSource; readonly space: RowSpace }

/** A dropped row with its place: `row` is its line in JSON lines, else its number, from 1; `file` is there when the set has several. */
export interface PlacedDrop { readonly row: number; readonly file?: string; readonly reason: DroppedRow['dropReason']; readonly detail: string }

export interface DatasetIngest {
  readonly head: DatasetHead;
  readonly layout: RowLayout;
  readonly commit: string | null;
  /** The kept rows, each once, with the number of the row in the whole set, from 0. Throws DATASET.* as reading does, and DATASET.CHANGED at the end. */
  rows(onDrop?: (drop: PlacedDrop) => void): AsyncGenerator<{ readonly row: IngestedRow; readonly sourceRow: number }>;
  counts(): IngestCounts;
  /** Known when `rows` has ended. */
  bytes(): DatasetBytes;
  close(): Promise<void>;
}

/**
 * Opens a set for taking its rows: what steps, checks and registration share, so that they all keep the same rows.
 * Throws DATASET.* of finding and reading, and DATASET.WRONG_COLUMNS.
 */
export async function openIngest({ source, space, against = {}, heldOutOverlap = 'drop', scores }: IngestRequest, access: DatasetAccess): Promise<DatasetIngest> {
  const found = await findDataset(source, access);
  let enough = false;
  const reading = await readDataset(found, source.malformed, { wanted: () => !enough });
  const layout = await layoutOrClose();
  const taken = createIngest({ space, layout, limit: source.limit, against, heldOutOverlap, scores, dropFlagged: source.dropFlagged });

  async function layoutOrClose(): Promise<RowLayout> {
    try {
      return layoutOf(reading.head, source, space, found.about);
    } catch (error) {
      await reading.close();
      throw error;
    }
  }

  return {
    head: reading.head, layout, commit: found.commit,
    async* rows(onDrop) {
      let sourceRow = 0;
      for await (const row of reading.rows()) {
        access.signal?.throwIfAborted();
        const result = 'reason' in row ? taken.refuse(row.reason, row.detail) : taken.accept('value' in row ? row.value : undefined);
        if (!isDrop(result)) yield { row: result, sourceRow };
        else onDrop?.({ row: row.line, ...row.file === null ? {} : { file: row.file }, reason: result.dropReason, detail: result.detail });
        enough = isDrop(result) && result.dropReason === 'over_limit';
        sourceRow += 1;
      }
      const { sha256 } = reading.bytes();
      if (source.sha256 !== null && source.sha256 !== sha256) {
        throw problem(found.about, 'DATASET.CHANGED', `its bytes have the sha256 ${sha256}, not ${source.sha256} as when it was registered`, 'Register it again under another name, or put the file back');
      }
    },
    counts: () => taken.counts(),
    bytes: () => reading.bytes(),
    close: () => reading.close(),
  };
}
