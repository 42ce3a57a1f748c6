import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { createDatabase } from './database.ts';
import { createRun, openTestBed, type TestBed } from './testing/fixtures.ts';

let bed: TestBed;
beforeAll(async () => { bed = await openTestBed(); });
afterAll(() => bed.close());
beforeEach(() => bed.sql('DELETE FROM outbox'));

const add = (runId: string) => bed.database.outbox.add([{ queue: 'advance', payload: { runId } }]);

test('two relays at once give every row to one of them, each in order', async () => {
  for (let n = 0; n < 20; n += 1) await bed.database.outbox.add(Array.from({ length: 10 }, (_, index) => ({ queue: 'advance' as const, payload: { runId: String(n * 10 + index) } })));
  const other = createDatabase({ url: bed.url, poolSize: 2 });
  const drain = async (database: typeof other): Promise<bigint[]> => {
    const got: bigint[] = [];
    const take = (): Promise<number> => database.outbox.relay(7, async (rows) => { got.push(...rows.map((row) => row.id)); await new Promise((later) => { setTimeout(later, 2); }); });
    while (await take() > 0);
    return got;
  };
  const lists = await Promise.all([drain(bed.database), drain(other)]);
  await other.close();
  for (const list of lists) {
    expect(list.length).toBeGreaterThan(0);
    expect(list).toEqual(list.toSorted((a, b) => (a < b ? -1 : 1)));
  }
  expect(new Set(lists.flat()).size).toBe(200);
  expect(lists.flat()).toHaveLength(200);
});

test('rows that could not be sent stay, and come again', async () => {
  await add('kept');
  await expect(bed.database.outbox.relay(10, async () => { throw new Error('no Redis'); })).rejects.toThrow('no Redis');
  const seen: unknown[] = [];
  expect(await bed.database.outbox.relay(10, async (rows) => { seen.push(...rows.map(({ queue, payload }) => ({ queue, payload }))); })).toBe(1);
  expect(seen).toEqual([{ queue: 'advance', payload: { runId: 'kept' } }]);
  expect(await bed.database.outbox.relay(10, async () => { throw new Error('nothing to send'); })).toBe(0);
});

test('a row is not sent before it is due', async () => {
  await add('later');
  await bed.sql('UPDATE outbox SET due_at = now() + interval \'1 hour\'');
  expect(await bed.database.outbox.relay(10, async () => { throw new Error('too early'); })).toBe(0);
});

test('a listener wakes for commits that add rows, after losing its connection too, and not after it is closed', async () => {
  const wake = vi.fn();
  const listener = await bed.database.outbox.listen(wake);
  expect(wake).toHaveBeenCalledTimes(1);
  await createRun(bed);
  await vi.waitFor(() => { expect(wake).toHaveBeenCalledTimes(2); }, 10_000);
  await bed.sql('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query = \'LISTEN outbox\'');
  await vi.waitFor(() => { expect(wake).toHaveBeenCalledTimes(3); }, 10_000);
  await add('again');
  await vi.waitFor(() => { expect(wake).toHaveBeenCalledTimes(4); }, 10_000);
  await listener.close();
  await add('unheard');
  await new Promise((later) => { setTimeout(later, 100); });
  expect(wake).toHaveBeenCalledTimes(4);
});

test('the pool survives losing its connections', async () => {
  await bed.database.ping();
  await bed.sql('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()');
  await vi.waitFor(() => bed.database.ping(), 10_000);
  expect((await createRun(bed)).state).toBe('queued');
});

test('ping throws when nothing answers', async () => {
  const nobody = createDatabase({ url: 'postgres://postgres@127.0.0.1:1/postgres' });
  await expect(nobody.ping()).rejects.toThrow();
  await nobody.close();
});
