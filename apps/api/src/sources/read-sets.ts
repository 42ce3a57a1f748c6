import { openIngest } from '@sgpo/artifacts';
import type { PlacedDrop } from '@sgpo/artifacts';
import type { Estimate } from '@sgpo/contracts';
import { createIdSet, createSetMeasure, registeredSource } from '@sgpo/core';
import type { DatasetSource, IdSet, IngestedRow, Plan, RowSpace, SetSize, StepPlanOf, TeamId } from '@sgpo/core';
import type { Dependencies } from '../dependencies.ts';
import { findDataset } from './resolve-dataset.ts';

/** A data set as the run would take it. */
export interface ReadSet { readonly space: RowSpace; readonly size: SetSize; readonly head: readonly IngestedRow[]; readonly report: Estimate['sets'][number] }

/** Rows of which prompts are shown. */
const headRows = 3;
const maxDrops = 1000;

/**
 * Reads every data set of a plan whole, in the order and with the rules of its ingest steps; nothing is stored. Memory: the prompt ids of the sets that
 * others are compared with, and the drops that are listed. Throws DATASET.*.
 */
export async function readSets(plan: Plan, dependencies: Dependencies, { teamId, signal }: { readonly teamId: TeamId; readonly signal: AbortSignal }): Promise<readonly ReadSet[]> {
  const ids = new Map<string, IdSet>();
  const sets: ReadSet[] = [];
  for (const step of plan.steps) {
    if (step.kind !== 'ingest') continue;
    ids.set(step.key, createIdSet());
    sets.push(await readSet(step, ids, { ...dependencies, teamId, signal }));
  }
  return sets;
}

type Place = Dependencies & { readonly teamId: TeamId; readonly signal: AbortSignal };

async function readSet(step: StepPlanOf<'ingest'>, ids: ReadonlyMap<string, IdSet>, place: Place): Promise<ReadSet> {
  const { source, space, heldOutOverlap, scores } = step.parameters;
  const own = ids.get(step.key);
  const against = Object.fromEntries(Object.entries(step.inputs).flatMap(([role, key]) => { const other = ids.get(key); return other === undefined ? [] : [[role, other]]; }));
  const field = `data.${space}`;
  const { dataRoots, environment, cacheFolder, signal } = place;
  const opened = await openIngest({ source: await placeOf(place, `${field}.dataset`, source), space, against, heldOutOverlap, scores }, { roots: dataRoots, field, environment, cacheFolder, signal });
  const measure = createSetMeasure(headRows);
  const drops: Estimate['sets'][number]['drops'] = [];
  try {
    for await (const { row } of opened.rows(noteDrop)) {
      measure.add(row);
      own?.add(row.id);
    }
  } finally {
    await opened.close();
  }
  const { rowsIn, rowsOut, dropped, flagged } = opened.counts();
  return {
    space, size: measure.size(), head: measure.head(),
    report: { space, format: opened.layout.format, rowsIn, rowsOut, dropped: { ...dropped }, flagged: { ...flagged }, drops, dropsLeftOut: rowsIn - rowsOut - drops.length },
  };

  function noteDrop({ row, file, reason, detail }: PlacedDrop): void {
    // Rows behind the limit have nothing wrong with them, and may be many.
    if (reason !== 'over_limit' && drops.length < maxDrops) drops.push({ row, file: file ?? null, reason, detail });
  }
}

async function placeOf(place: Place, field: string, source: DatasetSource): Promise<DatasetSource> {
  return source.dataset === null ? source : registeredSource((await findDataset(place, field, source.dataset)).source, source);
}
