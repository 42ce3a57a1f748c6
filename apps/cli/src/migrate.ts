import { join } from 'node:path';
import { migrate } from '@sgpo/database';
import { CliError } from './cli-error.ts';
import { checkout, type CliConfig } from './config.ts';

/** Brings the tables of DATABASE_URL up to date: what a deployment runs before its processes start. Prints what was applied. */
export async function runMigrate(config: CliConfig): Promise<number> {
  if (config.databaseUrl === null) throw new CliError('migrate works on an external Postgres', 'set DATABASE_URL; the embedded one is migrated when it starts');
  const applied = await migrate(config.databaseUrl, join(checkout, 'prisma/migrations'));
  process.stdout.write(applied.length === 0 ? 'nothing to apply\n' : applied.map((name) => `applied ${name}\n`).join(''));
  return 0;
}
