/**
 * Who runs or follows an attempt. Holds change no state and write no event, so they do without the run's lock; the attempt's row is
 * locked before its lease, as in every change.
 */
import { addMs, databaseNow, type Client } from '../client.ts';
import type { Prisma } from '../generated/client.ts';
import { toAttemptRow } from '../mappers.ts';
import { addJobs } from '../outbox-rows.ts';
import type { AttemptRepository } from '../repositories.ts';
import { liveAttemptStates } from '../transitions.ts';

const live: Prisma.AttemptWhereInput = { state: { in: [...liveAttemptStates] } };

export function createHolds(client: Client): Pick<AttemptRepository, 'take' | 'release' | 'renew'> {
  return {
    async take({ id, holder, holdMs }) {
      const now = await databaseNow(client);
      const [taken] = await client.attempt.updateManyAndReturn({
        where: { ...live, id, workerId: { not: null }, OR: [{ holder: null }, { holder }, { heldUntil: { lt: now } }] },
        data: { holder, heldUntil: addMs(now, holdMs) },
      });
      return taken === undefined ? null : toAttemptRow(taken);
    },

    release: ({ id, holder }) => client.$transaction(async (tx) => {
      const { count } = await tx.attempt.updateMany({ where: { ...live, id, holder, workerId: { not: null } }, data: { holder: null, heldUntil: null } });
      if (count > 0) await addJobs(tx, [{ queue: 'follow', payload: { attemptId: id }, dueAt: await databaseNow(tx) }]);
    }),

    renew: ({ id, holder, holdMs, leaseMs }) => client.$transaction(async (tx) => {
      const now = await databaseNow(tx);
      const [renewed] = await tx.attempt.updateManyAndReturn({ where: { ...live, id, holder }, data: { heldUntil: addMs(now, holdMs) }, select: { cancelWanted: true } });
      if (renewed === undefined) return null;
      if (leaseMs !== null) await tx.lease.updateMany({ where: { attemptId: id }, data: { expiresAt: addMs(now, leaseMs) } });
      return { cancelWanted: renewed.cancelWanted };
    }),
  };
}
