import type { AttemptId } from '@sgpo/core';
import type { Client, Transaction } from '../client.ts';
import type { AttemptReport } from '../repositories.ts';
import { changeRun, refuse, type NewEvent } from '../run-change.ts';
import { liveAttemptStates } from '../transitions.ts';

interface Point { readonly name: string; readonly step: number; readonly value: number }

/** See AttemptRepository.report. The run's lock makes reports of one attempt follow each other, so that `eventsSeen` decides. */
export async function report(client: Client, id: AttemptId, batch: AttemptReport): Promise<void> {
  await changeRun(client, { attempt: id }, undefined, async (change) => {
    const attempt = await change.tx.attempt.findUniqueOrThrow({ where: { id }, include: { task: { select: { state: true, step: { select: { key: true } } } } } });
    const alive = liveAttemptStates.some((state) => state === attempt.state) && attempt.task.state === 'running';
    if (!alive || (batch.lastSequence > 0 && batch.lastSequence <= attempt.eventsSeen)) refuse();

    if (batch.lastSequence > 0) await change.tx.attempt.update({ where: { id }, data: { eventsSeen: batch.lastSequence } });
    if (batch.progress !== undefined) {
      const { done, total, unit } = batch.progress;
      await change.tx.task.update({ where: { id: attempt.taskId }, data: { rowsDone: done, rowsTotal: total, unit } });
    }
    const stepKey = attempt.task.step.key;
    const event = ({ type, data }: Pick<NewEvent, 'type' | 'data'>): void => { change.event({ type, stepKey, taskId: attempt.taskId, data: { ...data, attempt: attempt.number } }); };
    for (const told of batch.events ?? []) event(told);

    const points = pointsOf(batch);
    await writePoints(change.tx, change.runId, stepKey, points.filter((point) => Number.isFinite(point.value)), change.now);
    for (const { name, step, value } of points.filter((point) => !Number.isFinite(point.value))) {
      event({ type: 'task.log', data: { level: 'warning', message: `${name} is ${String(value)} at step ${String(step)}` } });
    }
  });
}

/** One value for a name and step: the last of the batch. */
function pointsOf(batch: AttemptReport): Point[] {
  const points = new Map<string, Point>();
  for (const { step, values } of batch.metrics ?? []) {
    for (const [name, value] of Object.entries(values)) points.set(JSON.stringify([name, step]), { name, step, value });
  }
  return [...points.values()];
}

/** An attempt that begins again from a checkpoint tells some steps twice: the newer value stays. */
async function writePoints(tx: Transaction, runId: string, stepKey: string, points: readonly Point[], now: Date): Promise<void> {
  if (points.length === 0) return;
  await tx.$executeRaw`
    INSERT INTO metric (run_id, step_key, name, step, value, at)
    SELECT ${runId}, ${stepKey}, point.name, point.step, point.value, ${now}
    FROM jsonb_to_recordset(${JSON.stringify(points)}::jsonb) AS point(name text, step integer, value double precision)
    ON CONFLICT (run_id, step_key, name, step) DO UPDATE SET value = excluded.value, at = excluded.at`;
}
