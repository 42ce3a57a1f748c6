import { expandStep, failureOf, readyTasks, SgpoError, stepKinds, type Failure, type RunId, type TaskId } from '@sgpo/core';
import type { RunTree, TaskRow } from '@sgpo/database';
import { prepareTask } from './prepare.ts';
import type { Services } from './services.ts';
import { planOf, stepByKey } from './step-inputs.ts';

/**
 * Moves a run as far as it goes: expands steps, makes tasks ready (or cached), finishes steps and the run. Every change is a
 * compare-and-set, so that running it twice, at once or after a crash, does no harm. In this process a run advances once at a time.
 * A paused run stays as it is until it is resumed.
 */
export function createAdvance(services: Services): (runId: RunId) => Promise<void> {
  const queue = new Map<RunId, Promise<void>>();
  return (runId) => {
    const before = queue.get(runId) ?? Promise.resolve();
    const turn = before.catch(() => undefined).then(() => advanceRun(services, runId));
    queue.set(runId, turn);
    void turn.catch(() => undefined).finally(() => { if (queue.get(runId) === turn) queue.delete(runId); });
    return turn;
  };
}

async function advanceRun(services: Services, runId: RunId): Promise<void> {
  const { database } = services;
  for (;;) {
    const tree = await database.runs.tree(runId);
    if (tree === null) return;
    if (tree.run.state === 'queued') await database.runs.start(runId);
    else if (tree.run.state === 'canceling') { await database.runs.finishCancel(runId); return; }
    else if (tree.run.state !== 'running') return;

    const failed = failureIn(tree);
    if (failed !== null) { await database.runs.fail(runId, failed); return; }
    if (tree.steps.every((step) => step.state === 'succeeded' || step.state === 'cached')) { await database.runs.succeed(runId); return; }

    const changed = [await expandSteps(services, tree), await readyTasksOf(services, tree), await beginSteps(services, tree), await finishSteps(services, tree)];
    if (!changed.includes(true) && tree.run.state !== 'queued') return;
  }
}

function failureIn(tree: RunTree): Failure | null {
  for (const step of tree.steps) {
    for (const task of step.tasks) {
      if (task.state === 'failed') {
        const failure = task.failure ?? { code: 'SERVICE.INTERNAL', message: 'the task failed without a reason', remedy: 'See the log' };
        return { ...failure, message: `Step ${step.key}: ${failure.message}` };
      }
    }
  }
  return null;
}

/** A sharded step gets its tasks once the number of its rows is known. */
async function expandSteps(services: Services, tree: RunTree): Promise<boolean> {
  let changed = false;
  for (const step of tree.steps) {
    const plan = planOf(step);
    if (step.state !== 'pending' || step.tasks.length > 0 || (plan.kind !== 'generate' && plan.kind !== 'teach' && plan.kind !== 'score')) continue;
    const rows = stepByKey(tree, step.inputs['rows'] ?? '');
    if (rows.output === null || rows.rowsOut === undefined) continue;
    const tasks = expandStep(plan, rows.rowsOut, tree.run.spec.execution, tree.run.spec.sampling.blockRows);
    changed = await services.database.steps.expand(step.id, tasks) || changed;
  }
  return changed;
}

async function readyTasksOf(services: Services, tree: RunTree): Promise<boolean> {
  let changed = false;
  for (const { key, index } of readyTasks({ steps: tree.steps.map(planOf) }, tree.steps)) {
    const step = stepByKey(tree, key);
    const task = step.tasks.find((candidate) => candidate.index === index);
    if (task === undefined) throw new TypeError(`no task ${String(index)} in step ${key}`);
    changed = await readyTask(services, tree, step, task) || changed;
  }
  return changed;
}

/**
 * A task whose equal is at work, in this run or another, waits for it with its key written down: it is looked at again when that task has ended,
 * well or badly, and then takes its result over or is run itself. So equal work is done once, and no run depends on another's fate.
 */
async function readyTask(services: Services, tree: RunTree, step: RunTree['steps'][number], task: TaskRow): Promise<boolean> {
  const { database, log } = services;
  const share = tree.run.spec.execution.cache && stepKinds[step.kind].cacheable;
  try {
    // A task that waits has its key already: one question tells that it still waits, and nothing is written for it.
    if (share && task.cacheKey !== null) {
      if (await database.tasks.isAtWork(task.cacheKey)) return false;
      const taken = await takeOver(services, task.id, task.cacheKey);
      if (taken !== null) return taken;
    }
    const prepared = await prepareTask(services, tree, step, task);
    const taken = share && prepared.cacheKey !== task.cacheKey ? await takeOver(services, task.id, prepared.cacheKey) : null;
    return taken ?? await database.tasks.markReady(task.id, { ...prepared, share }) === 'ready';
  } catch (error) {
    if (!(error instanceof SgpoError)) throw error;
    log.error({ runId: tree.run.id, taskId: task.id, step: step.key, code: error.code, error: error.message }, 'task cannot be prepared');
    return database.tasks.markFailed(task.id, failureOf(error));
  }
}

/** The result of an equal finished task becomes the task's own; null when there is none. */
async function takeOver(services: Services, taskId: TaskId, cacheKey: string): Promise<boolean | null> {
  const from = await findReusable(services, cacheKey);
  return from === null ? null : services.database.tasks.markCached(taskId, { cacheKey, from });
}

/** An equal finished task whose files are still there. */
async function findReusable(services: Services, cacheKey: string): Promise<TaskId | null> {
  const equal = await services.database.tasks.findEqual(cacheKey);
  if (equal?.output == null) return null;
  if (await services.store.verify(equal.output)) return equal.id;
  services.log.warn({ taskId: equal.id, digest: equal.output }, 'files of a finished equal task are gone: running it again');
  return null;
}

/** A step has begun when a task of it is more than pending. Found from the tree, so that a crash after the task's change loses nothing. */
async function beginSteps(services: Services, tree: RunTree): Promise<boolean> {
  let changed = false;
  for (const step of tree.steps) {
    if (step.state === 'pending' && step.tasks.some((task) => task.state !== 'pending')) changed = await services.database.steps.begin(step.id) || changed;
  }
  return changed;
}

/** A step has ended when its last task has: the merge of a sharded step, the one task of any other. */
async function finishSteps(services: Services, tree: RunTree): Promise<boolean> {
  let changed = false;
  for (const step of tree.steps) {
    const last = step.tasks.at(-1);
    if (step.state !== 'running' || last === undefined || last.role === 'shard') continue;
    if (last.state === 'succeeded' || last.state === 'cached') changed = await services.database.steps.finish(step.id, last.id) || changed;
  }
  return changed;
}
