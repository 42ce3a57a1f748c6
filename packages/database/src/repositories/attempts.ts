import type { AttemptId, TaskId } from '@sgpo/core';
import { addMs, databaseNow, type Client } from '../client.ts';
import { toAttemptRow } from '../mappers.ts';
import type { AttemptRepository } from '../repositories.ts';
import { liveAttemptStates } from '../transitions.ts';
import { createClaims } from './attempt-claims.ts';
import { createEnds } from './attempt-ends.ts';
import { createHolds } from './attempt-holds.ts';
import { report } from './attempt-report.ts';

/** Claims, holds, reports and ends lie in files of their own; here is what only reads. */
export function createAttemptRepository(client: Client): AttemptRepository {
  return {
    ...createClaims(client),
    ...createHolds(client),
    ...createEnds(client),

    async get(id) {
      const row = await client.attempt.findUnique({ where: { id } });
      return row === null ? null : toAttemptRow(row);
    },

    async ofRun(runId) {
      const rows = await client.attempt.findMany({ where: { runId }, orderBy: [{ createdAt: 'asc' }, { id: 'asc' }] });
      return rows.map(toAttemptRow);
    },

    report: (id, batch) => report(client, id, batch),

    async forgotten({ readyForMs }) {
      const now = await databaseNow(client);
      const longAgo = addMs(now, -readyForMs);
      const ready = { state: 'ready', step: { run: { state: 'running' } } };
      const live = { state: { in: [...liveAttemptStates] } };
      const [localTasks, unheld, lostLocal, readyWorkerTasks] = await Promise.all([
        client.task.findMany({
          where: { ...ready, location: 'local', readyAt: { lte: longAgo }, OR: [{ notBefore: null }, { notBefore: { lte: longAgo } }] }, select: { id: true }, orderBy: { id: 'asc' },
        }),
        client.attempt.findMany({
          // An attempt that was claimed this moment is nobody's until its job arrives.
          where: { ...live, workerId: { not: null }, OR: [{ heldUntil: { lt: now } }, { heldUntil: null, createdAt: { lte: longAgo } }] }, select: { id: true }, orderBy: { id: 'asc' },
        }),
        client.attempt.findMany({ where: { ...live, workerId: null, OR: [{ heldUntil: null }, { heldUntil: { lt: now } }] }, select: { id: true }, orderBy: { id: 'asc' } }),
        client.task.count({ where: { ...ready, location: 'worker', OR: [{ notBefore: null }, { notBefore: { lte: now } }] } }),
      ]);
      return {
        localTasks: localTasks.map((row) => row.id as TaskId), unheldAttempts: unheld.map((row) => row.id as AttemptId),
        lostLocalAttempts: lostLocal.map((row) => row.id as AttemptId), readyWorkerTasks,
      };
    },
  };
}
