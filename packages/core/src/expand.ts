/** Steps become tasks, and tasks become ready. */
import { isShardwise, stepKinds } from './plan.ts';
import type { Plan, StepPlan } from './plan.ts';
import type { StepState, TaskState } from './states.ts';

/** A task of a sharded step before it is stored. A shard covers rows with posFrom ≤ pos < posTo; a merge has no range of its own. */
export interface ExpandedTask {
  readonly index: number;
  readonly role: 'shard' | 'merge';
  readonly location: 'local' | 'worker';
  readonly posFrom: number | null;
  readonly posTo: number | null;
  readonly rowsTotal: number;
}

/**
 * Shards of a step over `rowCount` rows, then the merge that makes one table of them. A shard is whole blocks of `blockRows` (the last may be
 * short), so that how rows are cut never changes which rows form a batch. The first shard is one block: that is what a preview has done, and
 * what shows first what a long step gives. Throws TypeError for a step that is not cut, and for sizes below 1.
 */
export function expandStep(step: StepPlan, rowCount: number, execution: { readonly shardRows: number }, blockRows: number): ExpandedTask[] {
  const { sharded, where } = stepKinds[step.kind];
  if (!sharded) throw new TypeError(`step "${step.key}" of kind "${step.kind}" is one task; only generate, teach and score are cut into shards`);
  requireWhole('rowCount', rowCount, 0);
  requireWhole('shardRows', execution.shardRows, 1);
  requireWhole('blockRows', blockRows, 1);
  const width = Math.ceil(execution.shardRows / blockRows) * blockRows;
  const tasks: ExpandedTask[] = [];
  for (let posFrom = 0, posTo = Math.min(blockRows, rowCount); posFrom < rowCount; [posFrom, posTo] = [posTo, Math.min(posTo + width, rowCount)]) {
    tasks.push({ index: tasks.length, role: 'shard', location: where, posFrom, posTo, rowsTotal: posTo - posFrom });
  }
  tasks.push({ index: tasks.length, role: 'merge', location: 'local', posFrom: null, posTo: null, rowsTotal: rowCount });
  return tasks;
}

function requireWhole(field: string, value: number, least: number): void {
  if (!Number.isSafeInteger(value) || value < least) throw new TypeError(`${field} is ${String(value)}; it must be a whole number of at least ${String(least)}`);
}

export interface TaskProgress {
  readonly index: number;
  readonly role: 'shard' | 'merge' | 'whole';
  readonly posFrom: number | null;
  readonly posTo: number | null;
  readonly state: TaskState;
}
export interface StepProgress { readonly key: string; readonly state: StepState; readonly tasks: readonly TaskProgress[] }

const isDone = (state: StepState | TaskState): boolean => state === 'succeeded' || state === 'cached';

/**
 * Pending tasks whose needs are met, in plan order. A merge needs every shard of its step. A shard needs the finished output of its inputs,
 * but of an input that is cut over the same rows only the shards its own range touches. Anything else needs every input step finished.
 * Steps without tasks (not yet expanded) have nothing ready and satisfy nobody.
 */
export function readyTasks(plan: Pick<Plan, 'steps'>, state: readonly StepProgress[]): { readonly key: string; readonly index: number }[] {
  const steps = new Map(plan.steps.map((step) => [step.key, step]));
  const progress = new Map(state.map((entry) => [entry.key, entry]));
  const ready: { readonly key: string; readonly index: number }[] = [];
  for (const step of plan.steps) {
    const own = progress.get(step.key);
    if (own === undefined || isDone(own.state)) continue;
    const sources = [...new Set(Object.values(step.inputs))].map((key) => ({ shardwise: isShardwiseInput(step, steps.get(key)), progress: progress.get(key) }));
    for (const task of own.tasks) {
      if (task.state !== 'pending') continue;
      const met = task.role === 'merge'
        ? own.tasks.every(({ role, state: taskState }) => role !== 'shard' || isDone(taskState))
        : sources.every((source) => source.progress !== undefined && (isDone(source.progress.state)
          || (task.role === 'shard' && source.shardwise && covers(source.progress.tasks, task))));
      if (met) ready.push({ key: step.key, index: task.index });
    }
  }
  return ready;
}

const isShardwiseInput = (step: StepPlan, source: StepPlan | undefined): boolean => source !== undefined && isShardwise(step, source);

/** True when finished shards of `source` hold every row of `task`: nothing is assumed about how the source was cut. */
function covers(source: readonly TaskProgress[], task: TaskProgress): boolean {
  if (task.posFrom === null || task.posTo === null) return false;
  let rows = 0;
  for (const { role, posFrom, posTo, state } of source) {
    if (role !== 'shard' || posFrom === null || posTo === null) continue;
    const overlap = Math.min(posTo, task.posTo) - Math.max(posFrom, task.posFrom);
    if (overlap <= 0) continue;
    if (!isDone(state)) return false;
    rows += overlap;
  }
  return rows === task.posTo - task.posFrom;
}
