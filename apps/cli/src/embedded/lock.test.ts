import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { holderOf, takeLock } from './lock.ts';
import { startTimeOf } from './process-identity.ts';

let home: string;
beforeEach(() => { home = mkdtempSync(join(tmpdir(), 'sgpo-lock-')); });
afterEach(() => { rmSync(home, { recursive: true, force: true }); });
const file = (): string => join(home, 'stack.lock');

test('one holder a folder; given back, it can be taken again', () => {
  const giveBack = takeLock(home);
  expect(holderOf(home)?.pid).toBe(process.pid);
  expect(() => takeLock(home)).toThrow(`A stack already runs in ${home} (pid ${String(process.pid)})`);
  giveBack();
  expect(holderOf(home)).toBeNull();
  takeLock(home)();
  expect(readdirSync(home)).toEqual([]);
});

test('a lock of a process that is gone, of a reused pid, or half written is taken over', () => {
  for (const stale of [{ pid: 2 ** 22 + 7, startTime: '1' }, { pid: process.pid, startTime: 'another time' }, { pid: process.pid }]) {
    writeFileSync(file(), JSON.stringify(stale));
    const giveBack = takeLock(home);
    expect(holderOf(home)?.pid).toBe(process.pid);
    giveBack();
  }
  writeFileSync(file(), '{"pid":');
  takeLock(home)();
});

test('giving back leaves the lock of a successor alone', () => {
  const giveBack = takeLock(home);
  writeFileSync(file(), JSON.stringify({ pid: 1, startTime: 'x' }));
  giveBack();
  expect(existsSync(file())).toBe(true);
});

test('of many processes that find a stale lock, one gets it', async () => {
  writeFileSync(file(), JSON.stringify({ pid: 2 ** 22 + 7, startTime: '1' }));
  const code = `const { takeLock } = await import(${JSON.stringify(join(import.meta.dirname, 'lock.ts'))});
    process.stdin.once('data', () => { try { takeLock(${JSON.stringify(home)}); console.log('taken'); setInterval(() => {}, 1000); } catch { console.log('refused'); process.exit(); } });
    console.log('up');`;
  const children = Array.from({ length: 4 }, () => spawn(process.execPath, ['--conditions=source', '--input-type=module', '-e', code], { stdio: ['pipe', 'pipe', 'inherit'] }));
  const output = children.map(() => '');
  children.forEach((child, index) => child.stdout.on('data', (data: Buffer) => { output[index] += data.toString(); }));
  const until = async (what: () => boolean): Promise<void> => { while (!what()) await new Promise((done) => { setTimeout(done, 20); }); };
  await until(() => output.every((text) => text.includes('up')));
  for (const child of children) child.stdin.write('go\n');
  await until(() => output.every((text) => /taken|refused/.test(text)));
  for (const child of children) child.kill('SIGKILL');
  expect(output.filter((text) => text.includes('taken'))).toHaveLength(1);
  expect(readFileSync(file(), 'utf8')).toContain('"pid"');
});

test('a start time tells a living process and nothing else', () => {
  expect(startTimeOf(process.pid)).toBe(startTimeOf(process.pid));
  expect(startTimeOf(2 ** 22 + 7)).toBeNull();
});
