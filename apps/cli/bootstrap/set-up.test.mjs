import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkNode, checkPassable, checkSpace, checkWritable, findPython } from './checks.mjs';
import { runLogged } from './commands.mjs';
import { differences } from './npm-packages.mjs';
import { checkPort, parsePort, portOwner, portProblem } from './ports.mjs';
import { livingHolder, startTimeOf } from './process-start.mjs';
import { withSetupLock } from './setup-lock.mjs';
import { fingerprint, readStamp, writeStamp } from './stamps.mjs';

/** @type {string} */
let folder;
beforeEach(() => { folder = mkdtempSync(join(tmpdir(), 'sgpo-setup-')); });
afterEach(() => { chmodSync(folder, 0o755); rmSync(folder, { recursive: true, force: true }); });

test('stamps: equal inputs, equal fingerprint; order, borders and content count', () => {
  const [a, b] = [join(folder, 'a'), join(folder, 'b')];
  writeFileSync(a, 'one');
  writeFileSync(b, 'two');
  expect(fingerprint({ files: [a, b] })).toBe(fingerprint({ files: [a, b] }));
  expect(fingerprint({ files: [a, b] })).not.toBe(fingerprint({ files: [b, a] }));
  expect(fingerprint({ values: ['ab', 'c'] })).not.toBe(fingerprint({ values: ['a', 'bc'] }));
  const before = fingerprint({ files: [a] });
  writeFileSync(a, 'other');
  expect(fingerprint({ files: [a] })).not.toBe(before);
  const stamp = join(folder, 'stamps', 'x');
  expect(readStamp(stamp)).toBeNull();
  writeStamp(stamp, before);
  expect(readStamp(stamp)).toBe(before);
});

test('Node older than 20 is refused', () => {
  expect(() => { checkNode('18.20.1'); }).toThrow('Node 18.20.1');
  checkNode('20.0.0');
  checkNode('26.1.0');
});

test('Python: the first that is new enough and complete', () => {
  const found = findPython({}, (command) => ({ 'python3.12': '3.12.1 no', 'python3.11': '3.11.7 yes', 'python3': '3.9.2 yes' })[command] ?? null);
  expect(found).toEqual({ command: 'python3.11', version: '3.11.7' });
});

test('Python: missing, too old, without venv, and a wrong SGPO_PYTHON each name their fix', () => {
  expect(() => findPython({}, () => null)).toThrow('no Python 3.11 or newer on PATH');
  expect(() => findPython({}, (command) => (command === 'python3' ? '3.9.2 yes' : null))).toThrow('python3 is 3.9.2');
  expect(() => findPython({}, (command) => (command === 'python3' ? '3.11.2 no' : null))).toThrow(expect.objectContaining({ fix: expect.stringContaining('apt install python3-venv') }));
  expect(() => findPython({ SGPO_PYTHON: '/no/python' }, () => null)).toThrow('SGPO_PYTHON=/no/python');
});

test('too little space is told before anything is installed', () => {
  expect(() => { checkSpace(folder, 6, () => 2.5 * 1024 ** 3); }).toThrow('2.5 GiB free: a first set-up needs 6');
  checkSpace(folder, 6, () => 7 * 1024 ** 3);
});

test('as root, a parent that is closed to others is named with the fix; for other users nothing is asked', () => {
  const inner = join(folder, 'closed', 'home');
  mkdirSync(inner, { recursive: true });
  chmodSync(folder, 0o755);
  chmodSync(join(folder, 'closed'), 0o700);
  expect(() => { checkPassable([{ path: inner, other: 'move it' }], true); }).toThrow(`${join(folder, 'closed')} is closed to other users (mode 700)`);
  expect(() => { checkPassable([{ path: join(inner, 'not', 'yet', 'there'), other: 'move it' }], true); }).toThrow(expect.objectContaining({ fix: expect.stringContaining(`chmod o+x ${join(folder, 'closed')}, or move it`) }));
  checkPassable([{ path: inner, other: 'move it' }], false);
  chmodSync(join(folder, 'closed'), 0o711);
  checkPassable([{ path: inner, other: 'move it' }], true);
});

test('a folder that cannot be written is told', () => {
  const file = join(folder, 'file');
  writeFileSync(file, '');
  expect(() => { checkWritable(join(file, 'home'), 'SGPO_HOME'); }).toThrow(`SGPO_HOME ${join(file, 'home')} cannot be written`);
  checkWritable(join(folder, 'new', 'home'), 'SGPO_HOME');
});

test('ports: a taken one is told with its holder', async () => {
  const server = createServer();
  const port = await new Promise((done) => { server.listen(0, '127.0.0.1', () => { const address = server.address(); done(typeof address === 'object' && address ? address.port : 0); }); });
  try {
    expect(await portProblem(port, '127.0.0.1')).toBe('EADDRINUSE');
    if (process.platform === 'linux') expect(portOwner(port)).toContain(`(pid ${process.pid})`);
    await expect(checkPort(port, '127.0.0.1')).rejects.toThrow(`port ${port} of the API is taken`);
  } finally {
    await new Promise((done) => { server.close(done); });
  }
  await checkPort(port, '127.0.0.1');
});

test('ports: SGPO_PORT must be one', () => {
  expect(parsePort(undefined)).toBe(8080);
  expect(parsePort('0')).toBe(0);
  for (const wrong of ['', 'http', '70000', '-1', '80.5']) expect(() => parsePort(wrong)).toThrow('is not a port');
});

test('packages: what npm noted must be what the lock file says, but for other platforms', () => {
  const wanted = { '': {}, 'packages/core': { version: '0.1.0' }, 'node_modules/a': { version: '1.0.0', integrity: 'x' }, 'node_modules/other-platform': { version: '1.0.0', optional: true } };
  const installed = { 'packages/core': { version: '0.1.0' }, 'node_modules/a': { version: '1.0.0', integrity: 'x' } };
  expect(differences(wanted, installed)).toEqual([]);
  expect(differences({ ...wanted, 'node_modules/b': { version: '2.0.0' } }, installed)).toEqual(['node_modules/b']);
  expect(differences(wanted, { ...installed, 'node_modules/a': { version: '1.0.1', integrity: 'y' } })).toEqual(['node_modules/a']);
  expect(differences(wanted, { ...installed, 'node_modules/gone': { version: '1.0.0' } })).toEqual(['node_modules/gone']);
});

test('a program that fails is told with the end of its log and its fix', async () => {
  const log = join(folder, 'logs', 'x.log');
  const run = (/** @type {string} */ script) => runLogged('the step', 'sh', ['-c', script], { cwd: folder, log, fix: 'do this' });
  await run('echo fine');
  await expect(run('echo some reason; exit 7')).rejects.toMatchObject({ message: expect.stringMatching(/the step failed \(exit code 7\)[^]*some reason/), fix: 'do this' });
  await expect(runLogged('the step', join(folder, 'nothing'), [], { cwd: folder, log, fix: 'do this' })).rejects.toThrow('ENOENT');
});

test('one set-up at a time; the lock of a dead one does not matter', async () => {
  /** @type {string[]} */
  const order = [];
  const work = (/** @type {string} */ name) => () => new Promise((done) => { order.push(`${name} begins`); setTimeout(() => { order.push(`${name} ends`); done(undefined); }, 100); });
  writeFileSync(join(folder, 'setup.lock'), JSON.stringify({ pid: process.pid, startTime: 'another time' }));
  await withSetupLock(folder, work('first'));
  expect(livingHolder(join(folder, 'setup.lock'))).toBeNull();
  writeFileSync(join(folder, 'setup.lock'), JSON.stringify({ pid: process.pid, startTime: startTimeOf(process.pid) }));
  const second = withSetupLock(folder, work('second'));
  await new Promise((done) => { setTimeout(done, 400); });
  expect(order).toEqual(['first begins', 'first ends']);
  rmSync(join(folder, 'setup.lock'));
  await second;
  expect(order).toEqual(['first begins', 'first ends', 'second begins', 'second ends']);
});
