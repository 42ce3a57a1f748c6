import { openIngest, type Row, type TableSchema } from '@sgpo/artifacts';
import { createIdSet, SgpoError, type Digest, type IdSet, type IngestCounts, type IngestedRow } from '@sgpo/core';
import type { Services } from '../services.ts';
import { tableSchemas } from '../table-schemas.ts';
import { tableResult, type LocalStep } from './local-task.ts';
import { sourceOfRun } from './source-of-run.ts';

/** Reads a user's data set into canonical rows. Every row that is not taken has a reason, and is counted. */
export const ingest: LocalStep<'ingest'> = async ({ services, task, signal, progress }, { parameters, inputs }) => {
  const { space, heldOutOverlap, scores } = parameters;
  const field = `data.${space}`;
  const source = await sourceOfRun(services, task.runId, parameters.source, field);
  const { dataRoots, environment, cacheFolder } = services;
  const opened = await openIngest(
    { source, space, heldOutOverlap, scores, against: { ...await idsOf(services, 'heldOut', inputs['heldOut']), ...await idsOf(services, 'improver', inputs['improver']) } },
    { roots: dataRoots, field, environment, cacheFolder, signal },
  );
  async function* rows(): AsyncGenerator<Row> {
    for await (const { row, sourceRow } of opened.rows()) {
      progress(sourceRow, sourceRow);
      yield cellsOf(row, sourceRow);
    }
  }
  const published = await services.tables.write(schemas[space], rows());
  const { rowsIn, rowsOut, dropped, flagged, formats, overlaps } = opened.counts();
  if (rowsOut === 0) throw noRowsLeft(field, rowsIn, dropped);
  const { files, sha256 } = opened.bytes();
  const { layout: { format }, head: { columns, container } } = opened;
  const stats = { format, formats, container, columns, files, sha256, commit: opened.commit, flagged, overlaps };
  return tableResult(published, { rowsIn, rowsOut, dropped: { ...dropped } }, { stats, meta: { format, sha256, commit: opened.commit, rows: rowsIn } });
};

const schemas: Readonly<Record<Parameters<typeof ingest>[1]['parameters']['space'], TableSchema>> = {
  improver: tableSchemas.rows, policy: tableSchemas.rows, heldOut: tableSchemas.rows, sft: tableSchemas.conversations, preferences: tableSchemas.preferences,
};

function cellsOf(row: IngestedRow, sourceRow: number): Row {
  const common = { id: row.id, pos: row.pos, source_row: sourceRow };
  switch (row.kind) {
    case 'answer': return { ...common, prompt: row.prompt, response: row.response };
    case 'conversation': return { ...common, messages: row.messages };
    case 'pair': return { ...common, prompt: row.prompt, chosen: row.chosen, rejected: row.rejected };
  }
}

/** Prompt ids of another set's table, under its role; nothing when the step has no such input. */
async function idsOf({ tables }: Pick<Services, 'tables'>, role: 'heldOut' | 'improver', table: Digest | undefined): Promise<Partial<Record<typeof role, IdSet>>> {
  if (table === undefined) return {};
  const ids = createIdSet();
  for await (const row of tables.scan(table, { columns: ['id'] })) if (typeof row['id'] === 'string') ids.add(row['id']);
  return { [role]: ids };
}

function noRowsLeft(field: string, rowsIn: number, dropped: IngestCounts['dropped']): SgpoError {
  const message = `none of the ${String(rowsIn)} rows is usable (${JSON.stringify(dropped)})`;
  const fix = 'See the reasons: correct the rows, or give another data set';
  return new SgpoError('DATASET.NO_ROWS_LEFT', `${field}: ${message}`, { remedy: fix, problems: [{ field, message, fix }] });
}
