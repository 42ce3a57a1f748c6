import { createArtifacts } from '../artifact-rows.ts';
import { addMs, type Client } from '../client.ts';
import type { Attempt, Task } from '../generated/client.ts';
import { fromJson, toJson, toJsonOrNull } from '../json.ts';
import type { ArtifactInput, AttemptRepository, TaskResult } from '../repositories.ts';
import { requireBalance } from '../row-balance.ts';
import { changeRun, refuse, type RunChange } from '../run-change.ts';
import { pauseRun } from '../run-pause.ts';
import { lockKeyOfAttempt, wakeWaiting } from '../shared-work.ts';
import { enqueueTask, moveAttempts, moveTasks } from '../transitions.ts';

type Ending = Parameters<AttemptRepository['end']>[1];

export function createEnds(client: Client): Pick<AttemptRepository, 'started' | 'succeed' | 'end'> {
  return {
    started: (id) => changeRun(client, { attempt: id }, false, async (change) => {
      const moved = await moveAttempts(change, { id }, 'running', { startedAt: change.now });
      if (moved.length === 0) refuse();
      return true;
    }),

    succeed: (id, result) => changeRun(client, { attempt: id }, false, async (change) => {
      requireBalance(result);
      await lockKeyOfAttempt(change.tx, id);
      const before = await change.tx.attempt.findUniqueOrThrow({ where: { id }, include: { task: { select: { state: true } } } });
      const wanted = before.task.state === 'running';
      const [attempt] = await moveAttempts(change, { id }, wanted ? 'succeeded' : 'canceled', {
        provenance: toJson(result.provenance), peakRssBytes: result.peakRssBytes === null ? null : BigInt(result.peakRssBytes),
      });
      if (attempt === undefined) refuse();
      if (wanted) await finishTask(change, attempt, result);
      change.enqueue('advance', { runId: change.runId });
      return wanted;
    }),

    end: (id, ending) => changeRun(client, { attempt: id }, false, async (change) => {
      if (ending.next.kind === 'pause' && change.runState === 'running') await pauseRun(change, ending.next.reason);
      else await lockKeyOfAttempt(change.tx, id);
      const [attempt] = await moveAttempts(change, { id }, ending.state, { failure: toJsonOrNull(ending.failure) });
      if (attempt === undefined) refuse();
      await settleTask(change, attempt, ending);
      change.enqueue('advance', { runId: change.runId });
      return true;
    }),
  };
}

async function finishTask(change: RunChange, attempt: Attempt, result: TaskResult): Promise<void> {
  await createArtifacts(change.tx, [result.output], change.now);
  const { rowsTotal } = await change.tx.task.findUniqueOrThrow({ where: { id: attempt.taskId }, select: { rowsTotal: true } });
  const [task] = await moveTasks(change, { id: attempt.taskId }, 'succeeded', {
    output: result.output.digest, rowsIn: result.rowsIn, rowsOut: result.rowsOut, dropped: toJson(result.dropped), stats: toJson(result.stats), rowsDone: rowsTotal,
  });
  if (task === undefined) refuse();
  await change.tx.artifactLink.createMany({ data: linksOf(attempt, task, result), skipDuplicates: true });
  await wakeWaiting(change, task);
}

function linksOf(attempt: Attempt, task: Task, result: TaskResult): { attemptId: string; digest: string; direction: string; role: string }[] {
  const inputs = fromJson<readonly ArtifactInput[]>(task.inputs ?? []);
  return [
    ...inputs.map(({ role, digest }) => ({ attemptId: attempt.id, digest, direction: 'in', role })),
    { attemptId: attempt.id, digest: result.output.digest, direction: 'out', role: 'output' },
  ];
}

/** What becomes of the task of an attempt that ended without a result. A task that was canceled with its run stays so. */
async function settleTask(change: RunChange, attempt: Attempt, { failure, next }: Ending): Promise<void> {
  const where = { id: attempt.taskId, state: 'running' };
  const reason = failure === null ? {} : { code: failure.code };
  const goesOn = change.runState === 'running' || change.runState === 'paused';
  if (goesOn && (next.kind === 'retry' || next.kind === 'pause')) {
    const notBefore = next.kind === 'retry' ? addMs(change.now, next.delayMs) : change.now;
    const [task] = await moveTasks(change, where, 'ready', { notBefore, readyAt: change.now }, { ...reason, notBefore: notBefore.toISOString() });
    // A run that is paused asks for its ready tasks when it goes on; until then nobody need wait for them.
    if (task !== undefined && change.runState === 'paused') await wakeWaiting(change, task);
    else if (task !== undefined && next.kind === 'retry') enqueueTask(change, task, notBefore);
    return;
  }
  const fails = goesOn && next.kind === 'fail';
  const [task] = await moveTasks(change, where, fails ? 'failed' : 'canceled', fails ? { failure: toJsonOrNull(failure) } : {}, reason);
  if (task !== undefined) await wakeWaiting(change, task);
}
