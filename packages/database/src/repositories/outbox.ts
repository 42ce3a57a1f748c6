import { databaseNow, type Client } from '../client.ts';
import { listenForOutbox } from '../outbox-listener.ts';
import { addJobs } from '../outbox-rows.ts';
import type { OutboxRepository, OutboxRow } from '../repositories.ts';

export function createOutboxRepository(client: Client, url: string): OutboxRepository {
  return {
    add: (rows) => client.$transaction(async (tx) => {
      const dueAt = await databaseNow(tx);
      await addJobs(tx, rows.map((row) => ({ ...row, dueAt })));
    }),

    // The rows stay locked while they are sent. A crash between sending and committing sends them again: at least once, in order of id.
    relay: (limit, send) => client.$transaction(async (tx) => {
      const rows = await tx.$queryRaw<OutboxRow[]>`
        SELECT id, queue, payload FROM outbox WHERE due_at <= clock_timestamp() ORDER BY id LIMIT ${limit} FOR UPDATE SKIP LOCKED`;
      if (rows.length === 0) return 0;
      await send(rows);
      await tx.outbox.deleteMany({ where: { id: { in: rows.map((row) => row.id) } } });
      return rows.length;
    }),

    listen: (wake) => listenForOutbox(url, wake),
  };
}
