import { expect, test } from 'vitest';
import { readConfig } from './config.ts';

const environment = { DATABASE_URL: 'postgres://user:secret@db/sgpo', REDIS_URL: 'redis://cache', SGPO_STORE: '/store', SGPO_DATA_ROOTS: '/data:/more', SGPO_WORKERS: 'a:1, b:2' };

test('lists are split, and what is left out has its default', () => {
  expect(readConfig(environment)).toMatchObject({
    dataRoots: ['/data', '/more'], workers: ['a:1', 'b:2'], allowedHosts: [], cacheFolder: '/downloads', leaseMs: 45_000, tls: null, logLevel: 'info',
  });
  expect(readConfig({ ...environment, SGPO_STORE: '/srv/sgpo/artifacts' }).cacheFolder).toBe('/srv/sgpo/downloads');
  expect(readConfig({ ...environment, SGPO_CACHE: '/scratch' }).cacheFolder).toBe('/scratch');
});

test.each([
  ['DATABASE_URL', 'mysql://user:secret@db'], ['REDIS_URL', 'cache'], ['SGPO_LEASE_SECONDS', '1'], ['SGPO_WORKER_CA', '/ca.pem'], ['LOG_LEVEL', 'loud'],
])('%s=%s is refused by name, and no value is repeated', (name, value) => {
  expect(() => readConfig({ ...environment, [name]: value })).toThrow(name);
  expect(() => readConfig({ ...environment, [name]: value })).not.toThrow(/secret/);
});
