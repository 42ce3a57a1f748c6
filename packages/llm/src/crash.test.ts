import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { startBatchServer, type BatchServer, type Fault, type RequestKind } from './testing/batch-server.ts';
import { recordedIn } from './testing/file-stores.ts';

/** Processes that are killed with -9 in the middle, and what the next one does: the server counts what it was asked to answer. */
const program = fileURLToPath(new URL('./testing/crash-child.ts', import.meta.url));
const rows = 30;

let folder: string;
let children: ChildProcess[] = [];
beforeEach(async () => { folder = await mkdtemp(join(tmpdir(), 'sgpo-crash-')); });
afterEach(async () => {
  for (const child of children) child.kill('SIGKILL');
  children = [];
  await rm(folder, { recursive: true, force: true });
});

function start({ url }: BatchServer, mode: string): ChildProcess {
  const child = spawn(process.execPath, ['--conditions=source', program, folder, url, mode, String(rows)], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  return child;
}
async function killWhen(child: ChildProcess, ready: () => boolean): Promise<void> {
  await vi.waitFor(() => { expect(ready()).toBe(true); }, { timeout: 10_000, interval: 10 });
  child.kill('SIGKILL');
  await once(child, 'exit');
}
async function resultOf(child: ChildProcess): Promise<Record<string, unknown>> {
  let text = '';
  child.stdout?.on('data', (chunk: Buffer) => { text += chunk.toString('utf8'); });
  const [code] = await once(child, 'close') as [number | null];
  expect(code).toBe(0);
  return JSON.parse(text) as Record<string, unknown>;
}
const recorded = (): number => recordedIn(join(folder, 'ledger.jsonl')).length;
const onceEach = Array.from({ length: rows }, () => 1);

describe('a process that is killed', () => {
  it('between calls: what was answered is not asked again', async () => {
    let crashing = true;
    await using server = await startBatchServer({ fault: ({ kind, nth }) => (crashing && kind === 'chat' && nth >= 10 ? 'stall' : null) });
    await killWhen(start(server, 'requests'), () => recorded() === 10 && server.count('chat') === 14);
    crashing = false;
    expect(await resultOf(start(server, 'requests'))).toMatchObject({ calls: rows - 10, reused: 10, answered: rows });
    expect([...server.paid.values()]).toEqual(onceEach);
  });

  it.each<[string, RequestKind, Fault]>([
    ['while it uploads', 'upload', 'stall'],
    ['before the provider took the batch', 'create', 'stall'],
    ['after the provider took the batch, before it was told', 'create', 'pause'],
    ['while it waits', 'retrieve', 'stall'],
    ['while it reads the results', 'content', 'pause'],
  ])('%s: there is one batch, and each answer is paid once', async (_when, kind, fault) => {
    let crashing = true;
    await using server = await startBatchServer({ fault: (request) => (crashing && request.kind === kind ? fault : null) });
    await killWhen(start(server, 'batch'), () => server.count(kind) === 1 && (kind !== 'content' || recorded() > 0));
    const before = recorded();
    if (kind === 'content') expect(before).toBeLessThan(rows);
    crashing = false;
    expect(await resultOf(start(server, 'batch'))).toMatchObject({ calls: rows - before, reused: before, batches: 1, answered: rows });
    expect(server.batches).toHaveLength(1);
    expect([...server.paid.values()]).toEqual(onceEach);
    expect(recorded()).toBe(rows);
  });
});
