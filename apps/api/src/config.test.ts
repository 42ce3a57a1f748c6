import { describe, expect, it } from 'vitest';
import { ConfigError, readConfig } from './config.ts';

const environment = { DATABASE_URL: 'postgres://u:secret@h/d', SGPO_STORE: '/store', SGPO_DATA_ROOTS: '/a:/b:' };
const refusal = (change: Record<string, string | undefined>): string => {
  try { readConfig({ ...environment, ...change }); } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  return '';
};

describe('readConfig', () => {
  it('fills defaults and splits lists', () => {
    expect(readConfig(environment)).toEqual({
      databaseUrl: 'postgres://u:secret@h/d', listen: { host: '127.0.0.1', port: 8080 }, store: '/store', cacheFolder: '/downloads', dataRoots: ['/a', '/b'], allowedHosts: [], logLevel: 'info',
    });
    expect(readConfig({ ...environment, SGPO_LISTEN: '[::1]:0', SGPO_ALLOWED_HOSTS: 'a:1, b', LOG_LEVEL: 'warn' })).toMatchObject({ listen: { host: '::1', port: 0 }, allowedHosts: ['a:1', 'b'], logLevel: 'warn' });
  });

  it.each([
    ['DATABASE_URL', undefined], ['DATABASE_URL', ''], ['DATABASE_URL', 'mysql://u:secret@h/d'], ['SGPO_STORE', undefined], ['SGPO_STORE', 'relative'], ['SGPO_CACHE', 'relative'], ['SGPO_DATA_ROOTS', undefined], ['SGPO_DATA_ROOTS', ':'],
    ['SGPO_DATA_ROOTS', '/a:b'], ['SGPO_LISTEN', '8080'], ['SGPO_LISTEN', 'h:99999'], ['SGPO_LISTEN', '::1:80'], ['LOG_LEVEL', 'loud'], ['SGPO_API_PORT', '1'],
  ])('%s = %j is refused by name, without its value', (name, value) => {
    const message = refusal({ [name]: value });
    expect(message.split('\n')).toHaveLength(1);
    expect(message).toMatch(new RegExp(`^${name} `));
    expect(message).not.toContain('secret');
  });

  it('names every fault at once', () => {
    expect(refusal({ DATABASE_URL: undefined, LOG_LEVEL: 'x', SGPO_API_X: '1' }).split('\n')).toHaveLength(3);
  });
});
