import { stepKinds, type Plan, type RunId, type StudyId } from '@sgpo/core';
import { databaseNow, type Transaction } from './client.ts';
import type { Prisma } from './generated/client.ts';
import { createId } from './ids.ts';
import { toJson, toJsonOrNull } from './json.ts';
import type { RunRepository, StudyEntry } from './repositories.ts';
import { withRun } from './run-change.ts';

export type NewRun = Parameters<RunRepository['create']>[0];
/** The study a new run belongs to. */
interface Membership { readonly id: StudyId; readonly entry: StudyEntry }

/** Writes a run with its steps, whole tasks, first event and `advance` job; null when its idempotency key was used before. */
export async function insertRun(tx: Transaction, input: NewRun, study: Membership | null): Promise<RunId | null> {
  const id = createId('run');
  const now = await databaseNow(tx);
  const { spec } = input;
  const row: Prisma.RunCreateManyInput = {
    id, teamId: input.teamId, name: spec.name, preset: spec.preset, state: 'queued', spec: toJson(spec), budget: toJson(spec.teacher?.budget ?? { tokens: null, cost: null }),
    idempotencyKey: input.idempotencyKey, bodyHash: input.bodyHash, studyId: study?.id ?? null, studyEntry: toJsonOrNull(study?.entry), createdAt: now, updatedAt: now,
  };
  // The unique key decides between equal calls: the second waits here until the first has committed, and then inserts nothing.
  const { count } = await tx.run.createMany({ data: [row], skipDuplicates: input.idempotencyKey !== null });
  if (count === 0) return null;
  await withRun(tx, { id, state: 'queued', now }, async (change) => {
    change.event({ type: 'run.created', data: { state: 'queued', name: spec.name, preset: spec.preset, steps: input.plan.steps.length } });
    change.count({ total: await createSteps(tx, id, input.plan, now) });
    change.enqueue('advance', { runId: id });
  });
  return id;
}

/** Writes the steps, and the one task of each that is not sharded. Returns the number of tasks. */
async function createSteps(tx: Transaction, runId: RunId, plan: Plan, now: Date): Promise<number> {
  const steps = plan.steps.map((step, position) => ({ id: createId('step'), position, step }));
  await tx.step.createMany({
    data: steps.map(({ id, position, step }) => ({
      id, runId, key: step.key, kind: step.kind, title: step.title, position, state: 'pending', space: step.space,
      inputs: toJson(step.inputs), parameters: toJson(step.parameters),
    })),
  });
  const tasks = steps.filter(({ step }) => !stepKinds[step.kind].sharded).map(({ id, step }) => ({
    id: createId('task'), stepId: id, runId, index: 0, role: 'whole', location: stepKinds[step.kind].where, state: 'pending', createdAt: now,
  }));
  await tx.task.createMany({ data: tasks });
  return tasks.length;
}
