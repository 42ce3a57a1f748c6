import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { OutboxRow } from '@sgpo/database';
import { createQueues, queueNames, relayOutbox, startConsumer, startRelay, type Consumer, type Queues, type Relay } from './index.ts';
import { createMemoryLog, openTestBed, openWire, redisUrl, type TestBed } from './testing/test-bed.ts';

let bed: TestBed;
let queues: Queues;
const log = createMemoryLog();
const open: (Consumer | { close(): Promise<void> | void })[] = [];
beforeEach(async () => { log.lines.length = 0; bed = await openTestBed(); queues = createQueues({ redisUrl, prefix: bed.prefix }); });
afterEach(async () => {
  for (const part of open.splice(0).toReversed()) await part.close({ timeoutMs: 200 });
  await queues.close();
  await bed.close();
});

const keep = <Part extends Consumer | Relay | Queues | { close(): void }>(part: Part): Part => { open.push(part as Consumer); return part; };
const local = (taskId: string) => ({ queue: 'local' as const, payload: { taskId } });
const consumeLocal = (handle: (taskId: string, signal: AbortSignal) => Promise<void>, of = queues): Consumer =>
  keep(startConsumer({ queues: of, queue: 'local', concurrency: 8, log, handle: ({ taskId }, signal) => handle(taskId, signal) }));
const collectLocal = (of = queues): string[] => { const got: string[] = []; consumeLocal(async (taskId) => { got.push(taskId); }, of); return got; };
/** BullMQ looks for jobs without a lock every 5 s, gives one back at the second look, and skips a look that another worker has just taken. */
const stalledWithinMs = 45_000;
const until = (check: () => void, timeout = 15_000) => vi.waitFor(check, { timeout, interval: 20 });
/** What is in the outbox, without taking it out. */
async function waiting(): Promise<readonly OutboxRow[]> {
  let seen: readonly OutboxRow[] = [];
  await bed.database.outbox.relay(1000, async (rows) => { seen = rows; throw new Error('looked only'); }).catch(() => undefined);
  return seen;
}

test('every queue delivers its payloads, and the outbox is empty after', async () => {
  const got: unknown[] = [];
  const handle = async (payload: unknown) => { got.push(payload); };
  for (const queue of queueNames) keep(startConsumer({ queues, queue, concurrency: 1, log, handle }));
  await bed.database.outbox.add([{ queue: 'advance', payload: { runId: 'r' } }, { queue: 'place', payload: {} }, { queue: 'follow', payload: { attemptId: 'a' } }, local('t'), { queue: 'register', payload: { datasetId: 'd' } }]);
  expect(await relayOutbox(bed.database, queues)).toBe(5);
  await until(() => { expect(got).toHaveLength(5); });
  expect(got).toEqual(expect.arrayContaining([{ runId: 'r' }, {}, { attemptId: 'a' }, { taskId: 't' }, { datasetId: 'd' }]));
  expect(await waiting()).toEqual([]);
});

test('a commit wakes the relay; two relays deliver each of many rows once', async () => {
  const got = collectLocal();
  for (let n = 0; n < 2; n += 1) keep(await startRelay({ database: bed.database, queues, intervalMs: 3_600_000, log }));
  await bed.database.outbox.add([local('first')]);
  await until(() => { expect(got).toEqual(['first']); });
  const many = Array.from({ length: 500 }, (_, index) => `t${String(index)}`);
  await Promise.all(Array.from({ length: 10 }, (_, part) => bed.database.outbox.add(many.slice(part * 50, part * 50 + 50).map(local))));
  await until(() => { expect(got).toHaveLength(501); });
  expect(new Set(got).size).toBe(501);
  expect(log.lines).toEqual([]);
});

test('without Redis the rows stay and nothing falls over; they are delivered when it is back', async () => {
  const wire = keep(await openWire());
  const far = keep(createQueues({ redisUrl: wire.url, prefix: bed.prefix }));
  const got = collectLocal(far);
  keep(await startRelay({ database: bed.database, queues: far, intervalMs: 200, log }));
  await bed.database.outbox.add([local('before')]);
  await until(() => { expect(got).toEqual(['before']); });
  wire.cut();
  await bed.database.outbox.add([local('during')]);
  await until(() => { expect(log.lines.map((line) => line.message)).toContain('outbox not relayed'); });
  expect(await waiting()).toHaveLength(1);
  await expect(far.ping()).rejects.toMatchObject({ code: 'SERVICE.NOT_READY' });
  wire.mend();
  await until(() => { expect(got).toEqual(['before', 'during']); });
  await far.ping();
}, 60_000);

test('a process that starts before Redis does catches up by itself', async () => {
  const wire = keep(await openWire());
  wire.cut();
  const far = keep(createQueues({ redisUrl: wire.url, prefix: bed.prefix }));
  const got = collectLocal(far);
  await bed.database.outbox.add([local('early')]);
  keep(await startRelay({ database: bed.database, queues: far, intervalMs: 200, log }));
  expect(got).toEqual([]);
  wire.mend();
  await until(() => { expect(got).toEqual(['early']); });
}, 60_000);

test('a Redis that loses everything in the middle of a job costs that job at most', async () => {
  const got: string[] = [];
  let finish: (() => void) | null = null;
  consumeLocal(async (taskId) => {
    if (taskId === 'running') await new Promise<void>((resolve) => { finish = resolve; });
    got.push(taskId);
  });
  keep(await startRelay({ database: bed.database, queues, intervalMs: 200, log }));
  await bed.database.outbox.add([local('running')]);
  await until(() => { expect(finish).not.toBeNull(); });
  await bed.wipe();
  finish!();
  await until(() => { expect(got).toEqual(['running']); });
  await bed.database.outbox.add([local('after')]);
  await until(() => { expect(got).toEqual(['running', 'after']); });
});

test('a payload that is not valid, and a handler that throws, are logged; the next job comes', async () => {
  const got: string[] = [];
  consumeLocal(async (taskId) => { if (taskId === 'bad') throw new Error('no good'); got.push(taskId); });
  await bed.database.outbox.add([{ queue: 'local', payload: { wrong: 'x' } }, local('bad'), local('good')]);
  await relayOutbox(bed.database, queues);
  await until(() => { expect(got).toEqual(['good']); });
  await until(() => { expect(log.lines.filter((line) => line.message === 'job failed')).toHaveLength(2); });
  expect(JSON.stringify(log.lines)).toContain('no good');
});

test('closing aborts the signal and waits for a handler that lets go', async () => {
  let state = 'idle';
  const consumer = startConsumer({
    queues, queue: 'local', concurrency: 1, log,
    handle: async (_, signal) => {
      state = 'running';
      await new Promise<void>((resolve) => { signal.addEventListener('abort', () => { setTimeout(resolve, 150); }, { once: true }); });
      state = 'let go';
    },
  });
  await bed.database.outbox.add([local('t')]);
  await relayOutbox(bed.database, queues);
  await until(() => { expect(state).toBe('running'); });
  await consumer.close({ timeoutMs: 5_000 });
  expect(state).toBe('let go');
});

test('closing leaves a handler that does not let go after the timeout, and takes no more jobs', async () => {
  const got: string[] = [];
  const consumer = startConsumer({ queues, queue: 'local', concurrency: 1, log, handle: ({ taskId }) => { got.push(taskId); return new Promise(() => undefined); } });
  await bed.database.outbox.add([local('stuck')]);
  await relayOutbox(bed.database, queues);
  await until(() => { expect(got).toEqual(['stuck']); });
  const began = performance.now();
  await consumer.close({ timeoutMs: 300 });
  expect(performance.now() - began).toBeLessThan(8_000);
  await bed.database.outbox.add([local('next')]);
  await relayOutbox(bed.database, queues);
  const others = collectLocal();
  await until(() => { expect(others).toContain('next'); });
  expect(got).toEqual(['stuck']);
  await bed.releaseLocks();
  await until(() => { expect(others).toContain('stuck'); }, stalledWithinMs);
}, 90_000);

test('the job of a killed process goes to another one', async () => {
  const child = spawn(process.execPath, ['--conditions=source', fileURLToPath(new URL('testing/hang.ts', import.meta.url)), redisUrl, bed.prefix], { stdio: ['ignore', 'pipe', 'inherit'] });
  await bed.database.outbox.add([local('orphan')]);
  await relayOutbox(bed.database, queues);
  const [said] = await once(child.stdout, 'data') as [Buffer];
  expect(said.toString()).toBe('orphan\n');
  child.kill('SIGKILL');
  await once(child, 'exit');
  const got = collectLocal();
  expect(await bed.releaseLocks()).toBe(1);
  await until(() => { expect(got).toEqual(['orphan']); }, stalledWithinMs);
}, 90_000);
