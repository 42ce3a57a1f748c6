import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { findFreePort, findSamePort } from './ports.ts';

test('a port is preferred, else remembered, else new and noted; taken ones are passed over', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sgpo-ports-'));
  const file = join(folder, 'teacher.port');
  try {
    const preferred = await findFreePort();
    expect(await findSamePort(file, preferred)).toBe(preferred);
    expect(existsSync(file)).toBe(false);
    const fresh = await findSamePort(file, 0);
    expect(readFileSync(file, 'utf8')).toBe(`${String(fresh)}\n`);
    expect(await findSamePort(file, 0)).toBe(fresh);
    const server = createServer();
    await new Promise<void>((done) => { server.listen(preferred, '127.0.0.1', () => { done(); }); });
    expect(await findSamePort(file, preferred)).toBe(fresh);
    await new Promise((done) => { server.close(done); });
    writeFileSync(file, 'nonsense');
    expect(await findSamePort(file, 0)).toBeGreaterThan(0);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
