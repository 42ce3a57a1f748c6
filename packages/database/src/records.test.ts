/** Tokens, the ledger and workers. */
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { addWorker, openTestBed, type TestBed } from './testing/fixtures.ts';

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
  await Promise.all(Array.from({ length: 5 }, () => ledger.record(key, 'teacher', answer)));
  await ledger.record(key, 'teacher', { ...answer, text: 'second' });
  expect(await ledger.find([key, other])).toEqual(new Map([[key, answer]]));
  expect(await ledger.find([])).toEqual(new Map());
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
