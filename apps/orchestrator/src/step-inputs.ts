import { isShardwise, SgpoError, type Digest, type StepPlan } from '@sgpo/core';
import type { RunTree, TaskRow } from '@sgpo/database';

type StepWithTasks = RunTree['steps'][number];

/** A stored step as the plan described it. */
export const planOf = (step: StepWithTasks): StepPlan =>
  ({ key: step.key, kind: step.kind, title: step.title, space: step.space, inputs: step.inputs, parameters: step.parameters }) as StepPlan;

export function stepByKey(tree: RunTree, key: string): StepWithTasks {
  const step = tree.steps.find((candidate) => candidate.key === key);
  if (step === undefined) throw new TypeError(`no step ${key} in run ${tree.run.id}`);
  return step;
}

/**
 * The tables that fill a role of a task: for a shard reading rows of its own kind, the outputs of the source's shards that overlap it
 * (they may be done before the source step is); otherwise the one output of the source step.
 */
export function inputOf(tree: RunTree, step: StepWithTasks, task: TaskRow, role: string): readonly Digest[] {
  const key = step.inputs[role];
  if (key === undefined) throw new TypeError(`step ${step.key} has no input ${role}`);
  const source = stepByKey(tree, key);
  if (task.role === 'shard' && isShardwise(planOf(step), planOf(source))) {
    const shards = source.tasks.filter((other) => other.role === 'shard' && overlaps(task, other));
    return shards.map((shard) => present(shard.output, source.key));
  }
  return [present(source.output, source.key)];
}

/** The single artifact of a role that is never sharded: a model, a data set. */
export function wholeInputOf(tree: RunTree, step: StepWithTasks, role: string): Digest {
  const key = step.inputs[role];
  if (key === undefined) throw new TypeError(`step ${step.key} has no input ${role}`);
  return present(stepByKey(tree, key).output, key);
}

const overlaps = (a: TaskRow, b: TaskRow): boolean => a.posFrom !== null && a.posTo !== null && b.posFrom !== null && b.posTo !== null && a.posFrom < b.posTo && b.posFrom < a.posTo;

function present(output: Digest | null, key: string): Digest {
  if (output === null) throw new SgpoError('SERVICE.INTERNAL', `step ${key} has no output yet`, { remedy: 'Report this: a task was made ready too early' });
  return output;
}
