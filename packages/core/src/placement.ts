import type { Digest, RunId, TaskId, WorkerId } from './ids.ts';

/** A ready worker task. `position`: its step's place in the plan; `createdAt`: of the task or its run, and a run is as old as its oldest task here. */
export interface WaitingTask {
  readonly id: TaskId; readonly runId: RunId; readonly model: Digest | null; readonly position: number; readonly index: number; readonly createdAt: Date;
  /** Of a preview: somebody waits for it. */
  readonly preview: boolean;
}
/** A live worker and its slots without a lease. `warmModel`: the weights it still holds in memory. */
export interface OpenWorker { readonly id: WorkerId; readonly warmModel: Digest | null; readonly freeSlots: readonly number[] }
export interface Placement { readonly taskId: TaskId; readonly workerId: WorkerId; readonly slot: number }

/**
 * Gives waiting tasks to free slots until either runs out; equal inputs in any order give equal placements.
 * Previews first, for they are short and waited for, then older runs. Within a run: first a task that a free worker is warm for, else the earliest by plan position and index; that goes to the
 * worker whose warm model the fewest waiting tasks want, so that warm weights are kept for those who can use them.
 */
export function place(tasks: readonly WaitingTask[], workers: readonly OpenWorker[]): Placement[] {
  const queues = orderRuns(tasks);
  const free = workers
    .map((worker) => ({ id: worker.id, warmModel: worker.warmModel, slots: [...new Set(worker.freeSlots)].sort((a, b) => a - b) }))
    .sort((a, b) => compareText(a.id, b.id));
  const wanted = new Map<Digest, number>();
  for (const { model } of queues.flat()) if (model !== null) wanted.set(model, (wanted.get(model) ?? 0) + 1);
  const demand = (model: Digest | null): number => (model === null ? 0 : wanted.get(model) ?? 0);

  const placements: Placement[] = [];
  for (const queue of queues) {
    while (queue.length > 0) {
      const open = free.filter(({ slots }) => slots.length > 0);
      if (open.length === 0) return placements;
      const warm = new Set(open.flatMap(({ warmModel }) => (warmModel === null ? [] : [warmModel])));
      const warmAt = queue.findIndex(({ model }) => model !== null && warm.has(model));
      const [task] = queue.splice(Math.max(warmAt, 0), 1);
      if (task === undefined) break;
      const worker = open.find(({ warmModel }) => warmModel !== null && warmModel === task.model)
        ?? open.reduce((best, other) => (demand(other.warmModel) < demand(best.warmModel) ? other : best));
      const slot = worker.slots.shift();
      if (slot === undefined) break;
      if (task.model !== null) wanted.set(task.model, demand(task.model) - 1);
      placements.push({ taskId: task.id, workerId: worker.id, slot });
    }
  }
  return placements;
}

/** The tasks of each run in plan order, oldest run first. A task listed twice counts once. */
function orderRuns(tasks: readonly WaitingTask[]): WaitingTask[][] {
  const unique = new Map(tasks.map((task) => [task.id, task]));
  const runs = Map.groupBy(unique.values(), ({ runId }) => runId);
  return [...runs]
    .map(([runId, queue]) => ({ runId, preview: queue.some(({ preview }) => preview), bornAt: Math.min(...queue.map(({ createdAt }) => createdAt.getTime())), queue }))
    .sort((a, b) => Number(b.preview) - Number(a.preview) || a.bornAt - b.bornAt || compareText(a.runId, b.runId))
    .map(({ queue }) => queue.sort((a, b) => a.position - b.position || a.index - b.index || compareText(a.id, b.id)));
}

const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
