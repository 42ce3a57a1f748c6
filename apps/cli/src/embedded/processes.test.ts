import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { CliError } from '../cli-error.ts';
import { waitForLine } from './log-file.ts';
import { isAlive } from './process-identity.ts';
import { supervise, type ProcessSpec, type SupervisedProcess } from './processes.ts';

let folder: string;
let running: SupervisedProcess[];
let said: string[];
let givenUp: CliError[];

beforeEach(() => { folder = mkdtempSync(join(tmpdir(), 'sgpo-processes-')); running = []; said = []; givenUp = []; });
afterEach(async () => {
  for (const child of running) await child.stop();
  rmSync(folder, { recursive: true, force: true });
});

function start(code: string, change: Partial<ProcessSpec> = {}): SupervisedProcess {
  const logFile = join(folder, 'child.log');
  const child = supervise({
    name: 'child', command: process.execPath, args: ['-e', code], env: process.env, cwd: folder, logFile, leavesBy: 'itself', stopSignal: 'SIGTERM', stopMs: 2_000, readyMs: 20_000,
    isReady: (offset, signal) => waitForLine(logFile, offset, (line) => line === 'ready', signal), ...change,
  }, { say: (line) => said.push(line), onGiveUp: (error) => givenUp.push(error) });
  running.push(child);
  return child;
}

async function until(what: () => boolean, ms = 15_000): Promise<void> {
  for (const end = Date.now() + ms; !what();) {
    if (Date.now() > end) throw new Error(`not within ${String(ms)} ms: ${what.toString()}`);
    await sleep(20);
  }
}

const serve = 'console.log("ready"); setInterval(() => {}, 1000)';

test('a process that is killed is started again, and stopping it is final', async () => {
  const child = start(serve);
  await child.ready;
  const first = child.pid() as number;
  process.kill(first, 'SIGKILL');
  await until(() => child.pid() !== null && child.pid() !== first);
  expect(said).toEqual(['child ended unexpectedly (SIGKILL): starting it again']);
  const second = child.pid() as number;
  await child.stop();
  expect(isAlive(second)).toBe(false);
  await sleep(300);
  expect(child.pid()).toBeNull();
});

test('more than five deaths in a minute end it, with the end of its log', async () => {
  const child = start('console.log("the reason"); process.exit(3)');
  await expect(child.ready).rejects.toThrow('ended 6 times within a minute (last: exit code 3)');
  expect(givenUp).toHaveLength(1);
  expect(givenUp[0]?.message).toContain('the reason');
  expect(said).toHaveLength(5);
});

test('a command that does not exist is a death as well', async () => {
  await expect(start(serve, { command: join(folder, 'nothing') }).ready).rejects.toThrow('ENOENT');
});

test('one that never answers is given up', async () => {
  const child = start('setInterval(() => {}, 1000)', { readyMs: 300 });
  await expect(child.ready).rejects.toThrow('does not answer within 0.3 s');
});

test('one that ignores its signal is killed in time', async () => {
  const child = start('process.on("SIGTERM", () => {}); console.log("ready"); setInterval(() => {}, 1000)', { stopMs: 400 });
  await child.ready;
  const began = Date.now();
  await child.stop();
  expect(Date.now() - began).toBeLessThan(2_000);
});

test('stopping during the pause before a restart starts nothing any more', async () => {
  const child = start('process.exit(1)');
  await until(() => said.length >= 3);
  await child.stop();
  const deaths = said.length;
  await sleep(1_000);
  expect(said).toHaveLength(deaths);
  await expect(child.ready).rejects.toThrow('stopped before it was ready');
});

test.each(['ipc', 'guard'] as const)('kill -9 of the starter: a child that leaves by %s leaves', async (leavesBy) => {
  const script = join(folder, 'starter.ts');
  const logFile = join(folder, 'child.log');
  writeFileSync(script, `
    const { supervise } = await import(${JSON.stringify(join(import.meta.dirname, 'processes.ts'))});
    const child = supervise({
      name: 'child', command: process.execPath, args: ['-e', 'process.on("disconnect", () => process.exit()); setInterval(() => {}, 1000)'], env: process.env, cwd: '/',
      logFile: ${JSON.stringify(logFile)}, leavesBy: '${leavesBy}', stopSignal: 'SIGTERM', stopMs: 1000, readyMs: 10000, isReady: () => Promise.resolve(),
    }, { say: console.log, onGiveUp: console.log });
    await child.ready;
    console.log('pid', child.pid());
  `);
  const starter = spawn(process.execPath, ['--conditions=source', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  const pid = await new Promise<number>((done) => {
    starter.stdout.on('data', (data: Buffer) => { const found = /pid (\d+)/.exec(data.toString()); if (found !== null) done(Number(found[1])); });
  });
  await sleep(200);
  expect(isAlive(pid)).toBe(true);
  starter.kill('SIGKILL');
  await until(() => !isAlive(pid));
});

test('a large log is moved aside at the start, once', async () => {
  const logFile = join(folder, 'child.log');
  writeFileSync(logFile, 'x'.repeat(6 * 1024 * 1024));
  await start(serve).ready;
  expect(existsSync(`${logFile}.1`)).toBe(true);
  expect(readFileSync(logFile, 'utf8')).toBe('ready\n');
});
