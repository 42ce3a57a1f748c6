import { randomUUID } from 'node:crypto';
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CliError, hasCode } from '../cli-error.ts';
import { waitForLine } from './log-file.ts';
import { findPostgres, type PostgresBinaries } from './postgres-binaries.ts';
import { commandOf, isAlive } from './process-identity.ts';
import type { ProcessSpec } from './processes.ts';
import { createPassword, readPassword, writePassword } from './secrets.ts';

export interface PostgresOptions {
  /** Folder that holds `postgres/` and `postgres.password`. */
  readonly home: string;
  readonly logFile: string;
  readonly port: number;
  /** More settings, as `fsync: 'off'` for data that may be lost. */
  readonly settings?: Readonly<Record<string, string>>;
}

export interface PreparedPostgres {
  readonly url: string;
  /** created: a new data folder. found: an old one. taken over: a server of an earlier stack still ran there and was stopped. */
  readonly how: 'created' | 'found' | 'taken over';
  readonly process: ProcessSpec;
}

/**
 * Makes the data folder ready for a server on 127.0.0.1:port (no socket, password login only): initialises it, or takes it over from a
 * server that outlived its stack or died. The process is for `supervise`.
 * Throws CliError for a folder of another major version, a lost password, or binaries that cannot run.
 */
export async function preparePostgres({ home, logFile, port, settings = {} }: PostgresOptions): Promise<PreparedPostgres> {
  const binaries = await findPostgres();
  const data = join(home, 'postgres');
  const passwordFile = join(home, 'postgres.password');
  let how: PreparedPostgres['how'] = 'found';
  if (!existsSync(data)) {
    await initialise(binaries, data, passwordFile);
    how = 'created';
  }
  checkVersion(data, binaries.major);
  const password = readPassword(passwordFile);
  if (password === null) throw new CliError(`${passwordFile} is missing: the password of the database in ${data}`, `put it back, or move ${data} away to begin with an empty database`);
  if (await stopLeftOver(binaries, data)) how = 'taken over';
  const all = { port: String(port), listen_addresses: '127.0.0.1', unix_socket_directories: '', timezone: 'UTC', log_timezone: 'UTC', ...settings };
  return {
    url: `postgresql://postgres:${password}@127.0.0.1:${String(port)}/postgres`, how,
    process: {
      name: 'postgres', command: join(binaries.folder, 'postgres'), args: ['-D', data, ...Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`])],
      env: { PATH: process.env['PATH'], LC_ALL: 'C' }, cwd: '/', ...(binaries.user === null ? {} : { user: binaries.user }), logFile,
      // SIGINT is Postgres's fast shutdown: sessions are ended, nothing is lost.
      leavesBy: 'guard', stopSignal: 'SIGINT', stopMs: 10_000, readyMs: 60_000,
      isReady: (offset, signal) => waitForLine(logFile, offset, (line) => line.includes('database system is ready to accept connections'), signal),
    },
  };
}

/** Into a folder of another name, renamed when it is whole: what was interrupted is never taken for a database. */
async function initialise(binaries: PostgresBinaries, data: string, passwordFile: string): Promise<void> {
  const unfinished = `${data}.${randomUUID()}`;
  const password = createPassword();
  const handOver = `${unfinished}.password`;
  mkdirSync(unfinished, { recursive: true, mode: 0o700 });
  writeFileSync(handOver, password, { mode: 0o600 });
  try {
    if (binaries.user !== null) for (const path of [unfinished, handOver]) chownSync(path, binaries.user.uid, binaries.user.gid);
    chmodSync(unfinished, 0o700);
    await binaries.run('initdb', ['-D', unfinished, '-U', 'postgres', '-A', 'scram-sha-256', '--pwfile', handOver, '-E', 'UTF8', '--no-locale', '--no-instructions']);
    writePassword(passwordFile, password);
    renameSync(unfinished, data);
  } catch (error) {
    rmSync(unfinished, { recursive: true, force: true });
    throw new CliError(`No database could be made in ${data}: ${error instanceof Error ? error.message : String(error)}`, 'see the reason above; the disk may be full, or the folder closed to the user that Postgres runs as', { cause: error });
  } finally {
    rmSync(handOver, { force: true });
  }
}

function checkVersion(data: string, major: string): void {
  const file = join(data, 'PG_VERSION');
  const found = existsSync(file) ? readFileSync(file, 'utf8').trim() : null;
  if (found === null) throw new CliError(`${data} is not a Postgres data folder (no PG_VERSION)`, 'move it away to begin with an empty database, or set SGPO_HOME to another folder');
  if (found !== major) {
    throw new CliError(`${data} was written by Postgres ${found}, and this release brings Postgres ${major}`, `dump it with Postgres ${found} (pg_dumpall) and load it into DATABASE_URL, or move the folder away to begin with an empty database`);
  }
}

/** True when a server still ran on the folder, and was stopped. A pid file whose server died is removed: its pid may be another's by now. */
async function stopLeftOver(binaries: PostgresBinaries, data: string): Promise<boolean> {
  const file = join(data, 'postmaster.pid');
  const pid = readPid(file);
  if (pid === null) return false;
  const runs = (): boolean => isAlive(pid) && commandOf(pid)?.includes('postgres') === true;
  if (!runs()) {
    rmSync(file, { force: true });
    return false;
  }
  for (const mode of ['fast', 'immediate']) {
    try {
      await binaries.run('pg_ctl', ['stop', '-D', data, '-m', mode, '-w', '-t', '15']);
    } catch (error) {
      if (mode === 'immediate' && runs()) throw new CliError(`A Postgres (pid ${String(pid)}) runs on ${data} and does not stop`, `end it: kill -9 ${String(pid)}`, { cause: error });
    }
    for (let tries = 0; tries < 20 && runs(); tries += 1) await sleep(50);
    if (!runs()) return true;
  }
  throw new CliError(`A Postgres (pid ${String(pid)}) runs on ${data} and does not stop`, `end it: kill -9 ${String(pid)}`);
}

function readPid(file: string): number | null {
  try {
    const pid = Number(readFileSync(file, 'utf8').split('\n')[0]);
    return Number.isInteger(pid) && pid > 0 ? pid : null;
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return null;
    throw error;
  }
}
