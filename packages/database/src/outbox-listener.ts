import pg from 'pg';
import { outboxChannel } from './outbox-rows.ts';

const firstRetryMs = 200;
const lastRetryMs = 5_000;

/**
 * Keeps one connection that listens, and makes a new one whenever it is lost. `wake` is called for every commit that added jobs, and
 * once for each new connection: what was committed meanwhile was not heard. Resolves when the first attempt to connect is over,
 * whether or not Postgres was there.
 */
export async function listenForOutbox(url: string, wake: () => void): Promise<{ close(): Promise<void> }> {
  let client: pg.Client | null = null;
  let timer: NodeJS.Timeout | null = null;
  let retryMs = firstRetryMs;
  let closed = false;

  const retry = (): void => {
    if (closed || timer !== null) return;
    timer = setTimeout(() => { timer = null; void connect(); }, retryMs);
    timer.unref();
    retryMs = Math.min(retryMs * 2, lastRetryMs);
  };

  const connect = async (): Promise<void> => {
    const next = new pg.Client({ connectionString: url, keepAlive: true, connectionTimeoutMillis: 10_000 });
    client = next;
    const lost = (): void => {
      if (client !== next) return;
      client = null;
      next.end().catch(() => undefined); // it may be gone already
      retry();
    };
    next.on('error', lost);
    next.on('end', lost);
    next.on('notification', () => { wake(); });
    try {
      await next.connect();
      await next.query(`LISTEN ${outboxChannel}`);
      retryMs = firstRetryMs;
      wake();
    } catch {
      // Being without Postgres is told by whoever asks it for rows; here it only means to try again.
      lost();
    }
  };

  await connect();
  return {
    async close() {
      closed = true;
      if (timer !== null) clearTimeout(timer);
      const last = client;
      client = null;
      await last?.end();
    },
  };
}
