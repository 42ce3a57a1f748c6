import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createDatabase, migrate } from '@sgpo/database';
import { CliError } from './cli-error.ts';
import { checkout, type CliConfig } from './config.ts';
import { holderOf, takeLock } from './embedded/lock.ts';
import { findFreePort } from './embedded/ports.ts';
import { preparePostgres } from './embedded/postgres.ts';
import { supervise } from './embedded/processes.ts';
import { readPassword } from './embedded/secrets.ts';

/** Makes a token of the team `default` and prints it: it can never be read again. */
export async function runTokenCreate(config: CliConfig, name: string): Promise<number> {
  const token = await withDatabase(config, async (url) => {
    const database = createDatabase({ url, poolSize: 1 });
    try {
      const teamId = await database.tokens.ensureTeam('default');
      return (await database.tokens.create({ teamId, name, expiresAt: null })).token;
    } finally {
      await database.close();
    }
  });
  process.stdout.write(`${token}\n`);
  return 0;
}

/** The database of DATABASE_URL, of the stack that runs in this home, or one started for the moment. */
async function withDatabase<T>(config: CliConfig, work: (url: string) => Promise<T>): Promise<T> {
  if (config.databaseUrl !== null) return work(config.databaseUrl);
  if (holderOf(config.home) !== null) return work(runningUrl(config.home));
  const giveBackLock = takeLock(config.home);
  try {
    const postgres = await preparePostgres({ home: config.home, logFile: join(config.home, 'logs', 'postgres.log'), port: await findFreePort() });
    const server = supervise(postgres.process, { say: (line) => { process.stderr.write(`${line}\n`); }, onGiveUp: () => undefined });
    try {
      await server.ready;
      await migrate(postgres.url, join(checkout, 'prisma/migrations'));
      return await work(postgres.url);
    } finally {
      await server.stop();
    }
  } finally {
    giveBackLock();
  }
}

/** Postgres notes its port in the fourth line of its pid file. */
function runningUrl(home: string): string {
  const file = join(home, 'postgres', 'postmaster.pid');
  const port = existsSync(file) ? Number(readFileSync(file, 'utf8').split('\n')[3]) : 0;
  const password = readPassword(join(home, 'postgres.password'));
  if (port === 0 || password === null) {
    throw new CliError(`A stack runs in ${home}, but not with a Postgres of its own`, 'wait until it is up, or set DATABASE_URL to the database it uses');
  }
  return `postgresql://postgres:${password}@127.0.0.1:${String(port)}/postgres`;
}
