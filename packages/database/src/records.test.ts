/** Tokens, the ledger, batches and workers. */
import { createHash } from 'node:crypto';
import type { RunId } from '@sgpo/core';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { addWorker, openTestBed, startedRun, type TestBed } from './testing/fixtures.ts';

let bed: TestBed;
beforeAll(async () => { bed = await openTestBed(); });
afterAll(() => bed.close());

test('a token is given once, kept as its hash, and is good until it is revoked or expires', async () => {
  const { tokens } = bed.database;
  const teamId = await tokens.ensureTeam('team');
  expect(await tokens.ensureTeam('team')).toBe(teamId);
  const { id, token } = await tokens.create({ teamId, name: 'ci', expiresAt: null });
  const old = await tokens.create({ teamId, name: 'old', expiresAt: new Date(Date.now() - 1_000) });
  expect(token).toMatch(/^sgpo_[\w-]{43}$/);
  expect(await bed.sql('SELECT hash, prefix FROM api_token WHERE id = $1', [id])).toEqual([{ hash: createHash('sha256').update(token).digest('hex'), prefix: token.slice(0, 10) }]);
  expect(await tokens.verify(token)).toEqual({ id, teamId });
  expect(await tokens.verify(old.token)).toBeNull();
  expect(await tokens.verify(`${token.slice(0, -1)}\0`)).toBeNull();
  expect(await tokens.count(teamId)).toBe(1);
  expect(await tokens.revoke(id)).toBe(true);
  expect(await tokens.revoke(id)).toBe(false);
  expect(await tokens.verify(token)).toBeNull();
  expect(await tokens.count(teamId)).toBe(0);
});

test('the use of a token is noted at most once a minute', async () => {
  const { tokens } = bed.database;
  const { id, token } = await tokens.create({ teamId: bed.teamId, name: 'used', expiresAt: null });
  const used = async () => (await bed.sql<{ last_used_at: Date | null }>('SELECT last_used_at FROM api_token WHERE id = $1', [id]))[0]!.last_used_at;
  expect(await used()).toBeNull();
  await tokens.verify(token);
  const first = await used();
  await tokens.verify(token);
  expect(await used()).toEqual(first);
  await bed.sql('UPDATE api_token SET last_used_at = now() - interval \'2 minutes\' WHERE id = $1', [id]);
  await tokens.verify(token);
  expect((await used())!.getTime()).toBeGreaterThanOrEqual(first!.getTime());
});

test('an answer in the ledger is what came first, to the last character', async () => {
  const { ledger } = bed.database;
  const answer = { text: 'NUL \0, half \ud83d, whole 😀, "2019s"', finishReason: 'stop', promptTokens: 3, completionTokens: 5 };
  const [key, other] = ['1'.repeat(64), '2'.repeat(64)];
  await Promise.all(Array.from({ length: 5 }, () => ledger.record(key, 'teacher \0', answer, null)));
  await ledger.record(key, 'teacher', { ...answer, text: 'second' }, null);
  expect(await ledger.find([key, other])).toEqual(new Map([[key, answer]]));
  expect(await ledger.find([])).toEqual(new Map());
});

test('a run is charged for the answers that are new, each once, whoever else asks for them', async () => {
  const { ledger } = bed.database;
  const [first, second] = [await startedRun(bed), await startedRun(bed)];
  expect(await ledger.spent(first)).toEqual({ calls: 0, promptTokens: 0, completionTokens: 0 });
  const answer = { text: 'a', finishReason: 'stop', promptTokens: 2_000_000_000, completionTokens: 7 };
  const keysOf = (first: string) => Array.from({ length: 20 }, (_, index) => first.repeat(62) + String(index).padStart(2, '0'));
  const keys = keysOf('b');
  await Promise.all(keys.flatMap((key) => [ledger.record(key, 't', answer, first), ledger.record(key, 't', answer, second), ledger.record(key, 't', answer, null)]));
  const spent = await Promise.all([ledger.spent(first), ledger.spent(second)]);
  const uncharged = 20 - spent.reduce((sum, { calls }) => sum + calls, 0);
  expect(uncharged).toBeGreaterThanOrEqual(0);
  for (const { calls, promptTokens, completionTokens } of spent) expect({ promptTokens, completionTokens }).toEqual({ promptTokens: calls * 2_000_000_000, completionTokens: calls * 7 });

  const before = await ledger.spent(first);
  await Promise.all(keysOf('c').map((key) => ledger.record(key, 't', answer, first)));
  expect(await ledger.spent(first)).toEqual({ calls: before.calls + 20, promptTokens: before.promptTokens + 40_000_000_000, completionTokens: before.completionTokens + 140 });
});

test('an answer that cannot be charged is not kept either', async () => {
  const key = 'd'.repeat(64);
  await expect(bed.database.ledger.record(key, 't', { text: 'a', finishReason: 'stop', promptTokens: 1, completionTokens: 1 }, 'run_nothing' as RunId)).rejects.toThrow();
  expect(await bed.database.ledger.find([key])).toEqual(new Map());
});

test('a charge does not wait for a change of its run that is under way', async () => {
  const runId = await startedRun(bed);
  const other = new pg.Client({ connectionString: bed.url });
  await other.connect();
  await other.query('BEGIN');
  await other.query('SELECT 1 FROM run WHERE id = $1 FOR NO KEY UPDATE', [runId]);
  await bed.database.ledger.record('e'.repeat(64), 't', { text: 'a', finishReason: 'stop', promptTokens: 1, completionTokens: 1 }, runId);
  expect(await bed.database.ledger.spent(runId)).toMatchObject({ calls: 1 });
  await other.end();
});

test('a batch is open from before it is submitted until it is closed', async () => {
  const { batches } = bed.database;
  const [key, runId] = ['f'.repeat(64), await startedRun(bed)];
  const [first, second] = [await batches.begin({ key, runId, requests: 3 }), await batches.begin({ key, runId, requests: 4 })];
  await batches.begin({ key: '0'.repeat(64), runId, requests: 1 });
  expect(await batches.open(key)).toMatchObject([{ id: first, key, batchId: null, inputFileId: null, requests: 3 }, { id: second, requests: 4 }]);
  await batches.submitted(first, { batchId: 'batch_1', inputFileId: 'file_1' });
  expect((await batches.open(key))[0]).toMatchObject({ batchId: 'batch_1', inputFileId: 'file_1' });
  await batches.close(first, 'collected');
  await batches.close(first, 'failed');
  expect((await batches.open(key)).map(({ id }) => id)).toEqual([second]);
  expect(await bed.sql('SELECT state FROM teacher_batch WHERE id = $1', [first])).toEqual([{ state: 'collected' }]);
  await expect(batches.submitted(first, { batchId: 'batch_2', inputFileId: 'file_2' })).rejects.toThrow('batch_2 would be lost');
});

test('a worker is seen again under its id, with what it says then', async () => {
  const id = await addWorker(bed, 'w', 2);
  const first = await bed.database.workers.get(id);
  await addWorker(bed, 'w', 3, true);
  const second = await bed.database.workers.get(id);
  expect(second).toEqual({ ...first, slots: 3, draining: true, lastSeenAt: second!.lastSeenAt });
  expect(second!.lastSeenAt.getTime()).toBeGreaterThanOrEqual(first!.lastSeenAt.getTime());
  expect(await bed.database.workers.list()).toEqual([second]);
  expect(await bed.database.workers.get('nobody' as never)).toBeNull();
});

test('times are the database\'s, whatever zone it is set to', async () => {
  await bed.sql('DO $$ BEGIN EXECUTE format(\'ALTER DATABASE %I SET TimeZone = %L\', current_database(), \'Asia/Kolkata\'); END $$');
  const { createDatabase } = await import('./database.ts');
  const database = createDatabase({ url: bed.url });
  const id = await addWorker({ ...bed, database }, 'zoned');
  expect(Math.abs((await database.workers.get(id))!.lastSeenAt.getTime() - Date.now())).toBeLessThan(60_000);
  await database.close();
});
