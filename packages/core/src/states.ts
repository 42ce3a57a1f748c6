/**
 * The life of a run, a step, a task and an attempt. Each table is total: what is not listed is refused.
 *
 * run      queued → running → succeeded | failed; canceling stands between a wish to cancel and canceled, while attempts end.
 *          running ⇄ paused, with a reason: tasks that run go on to their end, none begins.
 * step     pending → running (its first task is ready) → succeeded | cached (every task was cached) | failed | canceled.
 * task     pending (inputs missing, or an equal task of another run at work) → ready (inputs known, nothing equal finished) → running (an attempt holds it) → succeeded;
 *          pending → cached when an equal finished task's files exist; running → ready when the attempt is lost or may be retried.
 * attempt  leased (claimed, not begun) → running → succeeded | failed | lost | canceled.
 *
 * Terminal is final. A change is a compare-and-set on the old state with its event, in one transaction.
 */
export const runTransitions = {
  queued: ['running', 'canceling', 'failed'],
  running: ['paused', 'canceling', 'succeeded', 'failed'],
  paused: ['running', 'canceling', 'failed'],
  canceling: ['canceled'],
  succeeded: [], failed: [], canceled: [],
} as const satisfies Record<string, readonly string[]>;

export const stepTransitions = {
  pending: ['running', 'failed', 'canceled'],
  running: ['succeeded', 'cached', 'failed', 'canceled'],
  succeeded: [], cached: [], failed: [], canceled: [],
} as const satisfies Record<string, readonly string[]>;

export const taskTransitions = {
  pending: ['ready', 'cached', 'failed', 'canceled'],
  ready: ['running', 'canceled', 'failed'],
  running: ['ready', 'succeeded', 'failed', 'canceled'],
  succeeded: [], cached: [], failed: [], canceled: [],
} as const satisfies Record<string, readonly string[]>;

export const attemptTransitions = {
  leased: ['running', 'failed', 'lost', 'canceled'],
  running: ['succeeded', 'failed', 'lost', 'canceled'],
  succeeded: [], failed: [], lost: [], canceled: [],
} as const satisfies Record<string, readonly string[]>;

export type RunState = keyof typeof runTransitions;
export type StepState = keyof typeof stepTransitions;
export type TaskState = keyof typeof taskTransitions;
export type AttemptState = keyof typeof attemptTransitions;

const tables = { run: runTransitions, step: stepTransitions, task: taskTransitions, attempt: attemptTransitions } as const;
export type Entity = keyof typeof tables;

const allowed = (entity: Entity, from: string): readonly string[] => {
  const table: Record<string, readonly string[]> = tables[entity];
  return Object.hasOwn(table, from) ? table[from] ?? [] : [];
};

/** True when the table of `entity` lets `from` become `to`. */
export const canMove = (entity: Entity, from: string, to: string): boolean => allowed(entity, from).includes(to);

/** True when nothing can follow `state`. */
export const isTerminal = (entity: Entity, state: string): boolean => allowed(entity, state).length === 0;

/** States from which `to` may be reached: the right-hand side of a compare-and-set. */
export function sourcesOf(entity: Entity, to: string): string[] {
  return Object.keys(tables[entity]).filter((from) => canMove(entity, from, to));
}
