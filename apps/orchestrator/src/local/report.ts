import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buildReport, renderReport } from '@sgpo/core';
import type { RunTree } from '@sgpo/database';
import { usageOfTasks } from '../teacher-usage.ts';
import type { LocalStep } from './local-task.ts';

/** Sets down what the run did, from Postgres alone. */
export const report: LocalStep<'report'> = async ({ services, task }) => {
  const { database, store } = services;
  const tree = await database.runs.tree(task.runId);
  if (tree === null) throw new TypeError(`no run ${task.runId}`);
  const steps = tree.steps.filter((step) => step.kind !== 'report');
  const artifacts = await Promise.all(steps.map(async (step) => {
    if (step.output === null) return [];
    const record = await database.artifacts.get(step.output);
    return record === null ? [] : [{ role: step.key, record, path: store.path(step.output) }];
  }));
  const built = buildReport({
    run: tree.run,
    endedAt: new Date(),
    steps: steps.map((step) => ({ ...step, startedAt: workBegan(step), stats: step.kind === 'teach' ? usageOfTasks(step.tasks) : step.stats })),
    metrics: await database.metrics.ofRun(task.runId),
    artifacts: artifacts.flat().map(({ role, record, path }) => ({ role, path, kind: record.kind, digest: record.digest, rows: record.rows, bytes: record.bytes, meta: record.meta })),
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

/** When the first task of a step was taken up: it may have been ready, and waiting for a device, long before. */
function workBegan(step: RunTree['steps'][number]): Date | null {
  const starts = step.tasks.flatMap(({ startedAt }) => (startedAt === null ? [] : [startedAt.getTime()]));
  return starts.length === 0 ? step.startedAt : new Date(Math.min(...starts));
}
