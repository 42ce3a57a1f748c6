import { PrismaPg } from '@prisma/adapter-pg';
import { PrismaClient, type Prisma } from './generated/client.ts';

export type Client = PrismaClient;
export type Transaction = Prisma.TransactionClient;

/** How long a transaction may wait for a connection, and how long it may take: far above what any needs, so that only a hang ends there. */
const transactionOptions = { maxWait: 30_000, timeout: 60_000 } as const;

/** Connects when first used. `poolSize`: most connections at once. */
export function createClient(url: string, poolSize: number): Client {
  const adapter = new PrismaPg({
    connectionString: url, max: poolSize, connectionTimeoutMillis: 10_000, keepAlive: true,
    // The adapter takes every time it reads for UTC, whatever the server's zone is.
    options: '-c TimeZone=UTC',
  });
  return new PrismaClient({ adapter, transactionOptions });
}

/** The database's clock. Leases, holds and due times are compared on it alone: hosts may disagree about the time. */
export async function databaseNow(client: Client | Transaction): Promise<Date> {
  const [row] = await client.$queryRaw<{ now: Date }[]>`SELECT clock_timestamp() AS now`;
  if (row === undefined) throw new TypeError('Postgres gave no row for clock_timestamp()');
  return row.now;
}

/** `ms` after (or, when negative, before) `time`. */
export const addMs = (time: Date, ms: number): Date => new Date(time.getTime() + ms);
