import { setTimeout as sleep } from 'node:timers/promises';
import type { Database } from '@sgpo/database';

/** A database that answers later than this is as good as none. */
const patienceMs = 3000;

/** Rejects when the database does not answer in time. */
export async function pingInTime(database: Pick<Database, 'ping'>): Promise<void> {
  const done = new AbortController();
  const late = async (): Promise<never> => {
    await sleep(patienceMs, undefined, { signal: done.signal });
    throw new Error(`the database did not answer within ${String(patienceMs)} ms`);
  };
  try {
    await Promise.race([database.ping(), late()]);
  } finally {
    done.abort();
  }
}
