// The container files are true as far as they can be checked without an engine.
import { spawnSync } from 'node:child_process';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';

const checkout = resolve(import.meta.dirname, '../..');
const bin = join(process.env['SGPO_HOME'] ?? join(checkout, '.sgpo'), 'venv/bin');
const run = (tool: string, args: string[], env: NodeJS.ProcessEnv = {}): { status: number | null; text: string } => {
  const result = spawnSync(join(bin, tool), args, { cwd: checkout, encoding: 'utf8', env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...env } });
  return { status: result.status, text: `${result.stdout}${result.stderr}` };
};

test('docker compose accepts the file, with every process of the product in it', () => {
  const { status, text } = run('docker-compose', ['config'], { DATABASE_URL: 'postgres://db/sgpo', REDIS_URL: 'redis://cache' });
  expect(status).toBe(0);
  for (const part of ['apps/api/dist/main.js', 'apps/orchestrator/dist/main.js', 'apps/cli/dist/main.js', 'deploy/worker.Dockerfile', 'postgres://db/sgpo', 'redis://cache']) expect(text).toContain(part);
});

test('without a database it says what is missing', () => {
  const { status, text } = run('docker-compose', ['config']);
  expect(status).not.toBe(0);
  expect(text).toContain('set DATABASE_URL');
});

test.each(['node.Dockerfile', 'worker.Dockerfile'])('hadolint has nothing to say about %s', (file) => {
  expect(run('hadolint', [join('deploy', file)])).toEqual({ status: 0, text: '' });
});
