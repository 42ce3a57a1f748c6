import type { Database } from '@sgpo/database';
import { createWorkerClient, type WorkerClient, type WorkerTls } from '@sgpo/worker-client';
import type { Logger } from 'pino';
import type { WorkerId } from '@sgpo/core';

/** Keeps a connection to every configured worker and tells the database which of them live. */
export interface WorkerRegistry {
  client(address: string): WorkerClient;
  close(): void;
}

const pollMs = 2_000;
/** A worker that has not answered for this long gets no tasks. */
export const aliveMs = 8_000;

export function createWorkerRegistry(input: { readonly addresses: readonly string[]; readonly tls: WorkerTls | null; readonly database: Database; readonly log: Logger }): WorkerRegistry {
  const clients = new Map(input.addresses.map((address) => [address, createWorkerClient(address, input.tls)]));
  const seen = new Map<string, { readonly instanceId: string; readonly draining: boolean } | null>();

  const poll = async (address: string, client: WorkerClient): Promise<void> => {
    try {
      const worker = await client.describe();
      await input.database.workers.seen({ ...worker, id: worker.id as WorkerId, address });
      const before = seen.get(address);
      if (before?.instanceId !== worker.instanceId || (before.draining && !worker.draining)) {
        input.log.info({ worker: worker.id, address, engine: worker.engine, slots: worker.slots }, 'worker joined');
        await input.database.outbox.add([{ queue: 'place', payload: {} }]);
      }
      seen.set(address, worker);
    } catch (error) {
      if (seen.get(address) !== null) input.log.warn({ address, error: String(error) }, 'worker does not answer');
      seen.set(address, null);
    }
  };

  let closed = false;
  const loops = [...clients].map(async ([address, client]) => {
    while (!closed) {
      await poll(address, client);
      await new Promise((wake) => { setTimeout(wake, pollMs).unref(); });
    }
  });
  void Promise.all(loops);

  return {
    client(address) {
      const client = clients.get(address);
      if (client !== undefined) return client;
      // The worker of a running attempt may have left SGPO_WORKERS since: it is still followed to its end.
      const made = createWorkerClient(address, input.tls);
      clients.set(address, made);
      return made;
    },
    close() {
      closed = true;
      for (const client of clients.values()) client.close();
    },
  };
}
