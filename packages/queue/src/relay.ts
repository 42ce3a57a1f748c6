import type { Database } from '@sgpo/database';
import { createRepeatGuard, type Log } from './log.ts';
import type { Queues } from './queues.ts';

const batchRows = 200;

/** Sends every row of the outbox that is due, oldest first, and returns how many. Throws when Redis or Postgres is down: rows that were not sent stay. */
export async function relayOutbox(database: Database, queues: Queues): Promise<number> {
  await queues.ready();
  let sent = 0;
  for (;;) {
    const rows = await database.outbox.relay(batchRows, (batch) => queues.send(batch));
    sent += rows;
    if (rows < batchRows) return sent;
  }
}

export interface Relay {
  /** Looks for rows now. */
  nudge(): void;
  /** Ends after the round under way. */
  close(): Promise<void>;
}

/**
 * Relays whenever a commit in any process adds rows, and every `intervalMs` for rows that become due and for what was not heard.
 * Any number of relays may run. A round that fails is logged and tried again.
 */
export async function startRelay({ database, queues, intervalMs, log }: {
  readonly database: Database; readonly queues: Queues; readonly intervalMs: number; readonly log: Log;
}): Promise<Relay> {
  const guard = createRepeatGuard(log, 'outbox not relayed');
  let round: Promise<void> | null = null;
  let wanted = false;
  let closed = false;

  const relay = async (): Promise<void> => {
    while (wanted && !closed) {
      wanted = false;
      try {
        await relayOutbox(database, queues);
        guard.clear();
      } catch (error) {
        guard.warn(error);
      }
    }
    round = null;
  };
  const nudge = (): void => {
    wanted = true;
    if (!closed) round ??= relay();
  };

  const listener = await database.outbox.listen(nudge);
  const timer = setInterval(nudge, intervalMs);
  nudge();
  return {
    nudge,
    async close() {
      closed = true;
      clearInterval(timer);
      await listener.close();
      await round;
    },
  };
}
