import { describeDataset, readDataset } from '@sgpo/artifacts';
import { createIngest, detectFormat, SgpoError } from '@sgpo/core';
import { tableSchemas } from '../table-schemas.ts';
import { tableResult, type LocalStep } from './local-task.ts';

/** Reads a user's file into canonical rows. Every row that is not taken has a reason, and is counted. */
export const ingest: LocalStep<'ingest'> = async ({ services, signal, progress }, spec) => {
  const { source, space, against } = spec.parameters;
  const field = `data.${space}.path`;
  const described = await describeDataset(source.path, { roots: services.dataRoots, field });
  const format = detectFormat(described.columns);
  if (format === null) {
    throw new SgpoError('DATASET.WRONG_COLUMNS', `${field}: ${source.path} has the columns ${described.columns.join(', ')}`, {
      remedy: 'Use rows with prompt and response, messages, or chosen and rejected', problems: [{ field, value: source.path, message: 'no known row format', fix: 'rename the columns' }],
    });
  }
  const taken = createIngest({ limit: source.limit, against: against ? await idsOf(spec.inputs['against']) : null });
  let sourceRow = 0;
  async function* rows() {
    for await (const { value } of readDataset(source.path, { roots: services.dataRoots, field })) {
      signal.throwIfAborted();
      const row = taken.accept(format as NonNullable<typeof format>, value);
      if (!('dropReason' in row)) yield { ...row, source_row: sourceRow };
      sourceRow += 1;
      progress(sourceRow, sourceRow);
    }
  }
  const published = await services.tables.write(tableSchemas.rows, rows());
  const counts = taken.counts();
  if (counts.rowsOut === 0) {
    throw new SgpoError('DATASET.NO_ROWS_LEFT', `${field}: none of the ${String(counts.rowsIn)} rows of ${source.path} is usable (${JSON.stringify(counts.dropped)})`, {
      remedy: 'See the reasons: correct the rows, or give another file', problems: [{ field, value: source.path, message: 'no usable row', fix: 'correct the rows' }],
    });
  }
  return tableResult(published, counts, { stats: { format, source: source.path }, meta: { source: source.path, format } });

  async function idsOf(digest: typeof spec.inputs[string] | undefined): Promise<ReadonlySet<string>> {
    const ids = new Set<string>();
    if (digest === undefined) throw new TypeError('ingest has nothing to compare with');
    for await (const row of services.tables.scan(digest, { columns: ['id', 'pos'] })) ids.add(row['id'] as string);
    return ids;
  }
};
