import { join } from 'node:path';
import { expect, test } from 'vitest';
import { checkout, readConfig } from './config.ts';

test('defaults lie in the checkout; empty variables count as not set', () => {
  const config = readConfig({ INIT_CWD: '/user', DATABASE_URL: '' });
  expect(config).toMatchObject({ home: join(checkout, '.sgpo'), apiPort: 8080, listen: null, databaseUrl: null, redisUrl: null, python: join(checkout, '.sgpo/venv/bin/python') });
  expect(config.dataRoots).toEqual([checkout, '/user', join(checkout, '.sgpo/models')]);
});

test('roots and hosts of the user are added, relative ones from where the user stands', () => {
  const config = readConfig({ INIT_CWD: '/user', SGPO_HOME: 'mine', SGPO_DATA_ROOTS: '/data:rows', SGPO_ALLOWED_HOSTS: 'gpu:8000, other' });
  expect(config.home).toBe('/user/mine');
  expect(config.dataRoots.slice(-2)).toEqual(['/data', '/user/rows']);
  expect(config.allowedHosts).toEqual(['gpu:8000', 'other']);
});

test('wrong values are told by name, and never repeated', () => {
  expect(() => readConfig({ SGPO_PORT: 'abc', DATABASE_URL: 'mysql://user:secret@host/db' })).toThrow(/SGPO_PORT.*DATABASE_URL/);
  expect(() => readConfig({ DATABASE_URL: 'mysql://user:secret@host/db' })).not.toThrow(/secret/);
});
