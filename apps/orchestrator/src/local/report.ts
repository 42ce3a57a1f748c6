import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buildReport, renderReport, SgpoError, type RunId } from '@sgpo/core';
import type { ArtifactRecord, Database, RunTree } from '@sgpo/database';
import type { Services } from '../services.ts';
import { usageOfTasks } from '../teacher-usage.ts';
import type { LocalStep } from './local-task.ts';

/** Sets down what the run did, from Postgres and the statistics that trainings leave beside their weights. */
export const report: LocalStep<'report'> = async ({ services, task }) => {
  const { database, store } = services;
  const tree = await database.runs.tree(task.runId);
  if (tree === null) throw new TypeError(`no run ${task.runId}`);
  const steps = tree.steps.filter((step) => step.kind !== 'report');
  const artifacts = await Promise.all(steps.map(async ({ key, output }) => {
    const record = output === null ? null : await database.artifacts.get(output);
    if (record === null) return [];
    const { kind, digest, rows, bytes, meta } = record;
    return [{ role: key, path: store.path(digest), kind, digest, rows, bytes, meta, training: await statisticsOf(services, record) }];
  }));
  const built = buildReport({
    run: tree.run,
    endedAt: new Date(),
    steps: steps.map((step) => ({ ...step, startedAt: workBegan(step), stats: step.kind === 'teach' ? usageOfTasks(step.tasks) : step.stats })),
    metrics: await database.metrics.ofRun(task.runId),
    artifacts: artifacts.flat(),
    budgetPauses: await countPauses(database, task.runId),
  });
  const published = await store.publish(async (folder) => {
    await writeFile(join(folder, 'report.json'), `${JSON.stringify(built, null, 2)}\n`);
    await writeFile(join(folder, 'report.md'), renderReport(built));
  });
  return {
    output: { digest: published.digest, kind: 'report', bytes: published.bytes, rows: null, files: published.files, meta: {} },
    rowsIn: 0, rowsOut: 0, dropped: {}, stats: {}, provenance: {}, peakRssBytes: null,
  };
};

const statisticsFile = 'training_statistics.json';

/** What a training says of itself beside its weights; null for any other artifact. */
async function statisticsOf({ store }: Services, { kind, digest, files }: ArtifactRecord): Promise<object | null> {
  if (kind !== 'model' || !files.some(({ path }) => path === statisticsFile)) return null;
  const { absolute } = await store.locate(digest, statisticsFile);
  try {
    return JSON.parse(await readFile(absolute, 'utf8')) as object;
  } catch (cause) {
    throw new SgpoError('ARTIFACT.CORRUPT', `${statisticsFile} of the model ${digest} is not JSON`, { remedy: 'Run the training again with execution.cache: false', cause });
  }
}

const eventsOfPage = 1_000;

/** How often the run waited for a larger budget. */
async function countPauses({ events }: Database, runId: RunId): Promise<number> {
  let pauses = 0;
  for (let after = 0; ;) {
    const page = await events.after(runId, after, eventsOfPage);
    pauses += page.filter(({ type }) => type === 'run.paused').length;
    const last = page.at(-1);
    if (last === undefined) return pauses;
    after = last.sequence;
  }
}

/** When the first task of a step was taken up: it may have been ready, and waiting for a device, long before. */
function workBegan(step: RunTree['steps'][number]): Date | null {
  const starts = step.tasks.flatMap(({ startedAt }) => (startedAt === null ? [] : [startedAt.getTime()]));
  return starts.length === 0 ? step.startedAt : new Date(Math.min(...starts));
}
