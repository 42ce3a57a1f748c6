import { fork, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { createTestDatabase } from '@sgpo/database';
import type { TestDatabase } from '@sgpo/database';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

const main = fileURLToPath(new URL('main.ts', import.meta.url));
let test: TestDatabase;
let folder: string;
let child: ChildProcess | null = null;
beforeAll(async () => {
  test = await createTestDatabase();
  folder = await mkdtemp(join(tmpdir(), 'sgpo-api-main-'));
});
afterEach(() => { child?.kill('SIGKILL'); });
afterAll(async () => {
  await test.drop();
  await rm(folder, { recursive: true, force: true });
});

const environment = (): NodeJS.ProcessEnv => ({ PATH: process.env['PATH'], DATABASE_URL: test.url, SGPO_LISTEN: '127.0.0.1:0', SGPO_STORE: join(folder, 'store'), SGPO_DATA_ROOTS: folder });

/** Resolves with the address once the process listens. */
async function listening(started: ChildProcess): Promise<string> {
  for await (const line of createInterface({ input: started.stdout! })) {
    const address = /http:\/\/127\.0\.0\.1:\d+/.exec(line)?.[0];
    if (address !== undefined) return address;
  }
  throw new Error('the process ended without listening');
}

describe('the API process', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)('serves, and leaves with code 0 on %s', async (signal) => {
    child = spawn(process.execPath, ['--conditions=source', main], { env: environment(), stdio: ['ignore', 'pipe', 'inherit'] });
    const address = await listening(child);
    expect((await fetch(`${address}/readyz`)).status).toBe(200);
    const exit = once(child, 'exit');
    child.kill(signal);
    expect(await exit).toEqual([0, null]);
  });

  it('leaves when its parent does', async () => {
    child = fork(main, [], { execArgv: ['--conditions=source'], env: environment(), stdio: ['ignore', 'pipe', 'inherit', 'ipc'] });
    await listening(child);
    const exit = once(child, 'exit');
    child.disconnect();
    expect(await exit).toEqual([0, null]);
  });

  it('names what is wrong with its settings and exits with code 2', async () => {
    child = spawn(process.execPath, ['--conditions=source', main], { env: { ...environment(), DATABASE_URL: 'mysql://u:secret@h/d', SGPO_API_PORT: '1' }, stdio: ['ignore', 'ignore', 'pipe'] });
    let text = '';
    child.stderr!.on('data', (chunk: Buffer) => { text += chunk.toString(); });
    expect(await once(child, 'close')).toEqual([2, null]);
    expect(text).toMatch(/^DATABASE_URL .*\nSGPO_API_PORT .*\n$/);
    expect(text).not.toContain('secret');
  });
});
