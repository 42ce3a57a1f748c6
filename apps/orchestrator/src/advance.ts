import { expandStep, failureOf, readyTasks, SgpoError, stepKinds, type Failure, type RunId, type TaskId } from '@sgpo/core';
import type { RunTree, TaskRow } from '@sgpo/database';
import { prepareTask } from './prepare.ts';
import type { Services } from './services.ts';
import { planOf, stepByKey } from './step-inputs.ts';

/**
 * Moves a run as far as it goes: expands steps, makes tasks ready (or cached), finishes steps and the run. Every change is a
 * compare-and-set, so that running it twice, at once or after a crash, does no harm. In this process a run advances once at a time;
 * all who ask meanwhile share the one turn that comes next. A paused run stays as it is until it is resumed, unless it has failed already.
 */
export function createAdvance(services: Services): (runId: RunId) => Promise<void> {
  const underWay = new Map<RunId, Promise<void>>();
  const waiting = new Map<RunId, Promise<void>>();
  const begin = (runId: RunId): Promise<void> => {
    const turn = advanceRun(services, runId).finally(() => { underWay.delete(runId); });
    underWay.set(runId, turn);
    return turn;
  };
  return (runId) => {
    const shared = waiting.get(runId);
    if (shared !== undefined) return shared;
    const before = underWay.get(runId);
    if (before === undefined) return begin(runId);
    const next = before.catch(() => undefined).then(() => { waiting.delete(runId); return begin(runId); });
    waiting.set(runId, next);
    return next;
  };
}

/** What the code can make nothing of stays so however often it is looked at (a plan of another version, above all): the run ends there. Other errors pass. */
async function advanceRun(services: Services, runId: RunId): Promise<void> {
  try {
    await moveOn(services, runId);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    services.log.error({ runId, err: error }, 'run cannot go on');
    await services.database.runs.fail(runId, {
      code: 'SERVICE.INTERNAL', message: 'This version of the service cannot follow the stored plan of the run',
      remedy: 'Launch the run again: what is finished and what was paid for is taken over. If this version launched it, report it with the log of the orchestrator',
    });
  }
}

async function moveOn(services: Services, runId: RunId): Promise<void> {
  const { database, budgets } = services;
  const ended = async (change: Promise<boolean>): Promise<void> => { if (await change) budgets.forget(runId); };
  for (;;) {
    const tree = await database.runs.tree(runId);
    if (tree === null) return;
    if (tree.run.state === 'queued') await database.runs.start(runId);
    else if (tree.run.state === 'canceling') { await ended(database.runs.finishCancel(runId)); return; }
    else if (tree.run.state !== 'running' && tree.run.state !== 'paused') return;

    const failed = failureIn(tree);
    if (failed !== null) { await ended(database.runs.fail(runId, failed)); return; }
    if (tree.run.state === 'paused') return;
    if (tree.steps.every((step) => step.state === 'succeeded' || step.state === 'cached')) { await ended(database.runs.succeed(runId)); return; }

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
  const candidates = readyTasks({ steps: tree.steps.map(planOf) }, tree.steps).map(({ key, index }) => {
    const step = stepByKey(tree, key);
    const task = step.tasks.find((candidate) => candidate.index === index);
    if (task === undefined) throw new TypeError(`no task ${String(index)} in step ${key}`);
    return { step, task };
  });
  // A task that waits has its key already: one question tells which of them still wait, and nothing is written for those.
  const atWork = await services.database.tasks.atWork(candidates.flatMap(({ task }) => task.cacheKey ?? []));
  let changed = false;
  for (const { step, task } of candidates) {
    if (task.cacheKey === null || !atWork.has(task.cacheKey)) changed = await readyTask(services, tree, step, task) || changed;
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
    if (share && task.cacheKey !== null) {
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
