import { createServer } from 'node:net';
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { SgpoError, type EndpointTeacher } from '@sgpo/core';
import { completion, echo, memoryLedger, never, optionsFor, recordSleep, sendJson, startServer, user, type Script, type ScriptedServer } from './testing/fixtures.ts';
import { createLimits } from './limits.ts';
import { createTeacher, type Teacher, type TeacherDependencies } from './teacher.ts';
import type { TeacherWait } from './waiting.ts';

const key = 'sk-very-secret-123';

interface Setup { readonly teacher: Teacher; readonly pauses: number[]; readonly waits: TeacherWait[] }
function setup(url: string, options: Partial<EndpointTeacher> = {}, rest: Partial<TeacherDependencies> = {}): Setup {
  const { sleep, pauses } = recordSleep();
  const waits: TeacherWait[] = [];
  const teacher = createTeacher({
    options: optionsFor(url, { apiKey: 'env:TEACHER_KEY', ...options }), ledger: memoryLedger(), limits: createLimits(), environment: { TEACHER_KEY: key }, allowedHosts: ['127.0.0.1'],
    onWait: (wait) => { waits.push(wait); }, sleep, random: () => 0, ...rest,
  });
  return { teacher, pauses, waits };
}
const ask = (teacher: Teacher, content = 'q'): Promise<{ readonly text: string; readonly dropReason: string | null }> => teacher.ask({ messages: user(content), sample: 0 }, never);

/** Faults by request, then echoes. */
const faults = (...scripts: Script[]): Script => (nth, received, response) => (scripts[nth] ?? echo)(nth, received, response);
const status = (code: number, body: unknown = { error: { message: `code ${String(code)}` } }, headers: Record<string, string> = {}): Script => (_nth, _received, response) => { sendJson(response, code, body, headers); };
const html: Script = (_nth, _received, response) => { response.writeHead(200, { 'content-type': 'text/html' }).end('<html><style>b{}</style><body><h1>Sign in</h1></body></html>'); };

async function failureOf(script: Script, options: Partial<EndpointTeacher> = {}): Promise<{ readonly error: SgpoError; readonly server: ScriptedServer; readonly pauses: number[] }> {
  await using server = await startServer(script);
  const { teacher, pauses } = setup(server.url, options);
  const error: unknown = await ask(teacher).then(() => null, (thrown: unknown) => thrown);
  if (!(error instanceof SgpoError)) throw new Error('no SgpoError', { cause: error });
  return { error, server, pauses };
}

describe('pauses the teacher asks for', () => {
  it('waits as told and does not count it as a try', async () => {
    await using server = await startServer(faults(
      status(429, { error: { message: 'slow down' } }, { 'retry-after': '3' }), status(503, {}, { 'retry-after': 'Tue, 01 Jan 2030 00:00:10 GMT' }), status(429), status(429, {}, { 'retry-after': '99999' }),
    ));
    const { teacher, pauses, waits } = setup(server.url, { maxAttempts: 1 }, { nowMs: () => Date.parse('2030-01-01T00:00:00Z') });
    expect((await ask(teacher)).text).toBe('echo q');
    expect(pauses).toEqual([3000, 10_000, 2000, 120_000]);
    expect(waits[0]).toEqual({ reason: 'throttled', waitMs: 3000, failedTries: 0, detail: 'HTTP 429: slow down' });
    expect(teacher.usage()).toMatchObject({ calls: 1 });
  });

  it('gives up when the pauses add up to too much', async () => {
    await using server = await startServer(status(429, { error: { message: 'slow down' } }, { 'retry-after': '100' }));
    const { teacher, pauses } = setup(server.url, {}, { maxThrottledMs: 250_000 });
    await expect(ask(teacher)).rejects.toMatchObject({ code: 'TEACHER.THROTTLED', message: expect.stringContaining('slow down') as string });
    expect(pauses).toEqual([100_000, 100_000]);
  });

  it('does not wait for a spent quota', async () => {
    const { error, pauses } = await failureOf(status(429, { error: { message: 'You exceeded your current quota', code: 'insufficient_quota' } }));
    expect(error).toMatchObject({ code: 'TEACHER.REFUSED', remedy: expect.stringContaining('credit') as string });
    expect(pauses).toEqual([]);
  });

  it('ends a real pause when the signal aborts', async () => {
    await using server = await startServer(status(429, {}, { 'retry-after': '60' }));
    const teacher = createTeacher({ options: optionsFor(server.url), ledger: memoryLedger(), limits: createLimits(), environment: {}, allowedHosts: ['127.0.0.1'] });
    const stop = new AbortController();
    setTimeout(() => { stop.abort(new Error('paused')); }, 50);
    await expect(teacher.ask({ messages: user('q'), sample: 0 }, stop.signal)).rejects.toThrow('paused');
  });
});

describe('failures that may pass', () => {
  it.each<[string, Script]>([
    ['500', status(500)], ['502 with a page', (_nth, _received, response) => { response.writeHead(502, { 'content-type': 'text/html' }).end('<h1>Bad Gateway</h1>'); }], ['504', status(504)], ['529', status(529)], ['408', status(408)],
    ['a reset before the answer', (_nth, _received, response) => { response.socket?.resetAndDestroy(); }],
    ['a reset inside the body', (_nth, _received, response) => { response.writeHead(200, { 'content-type': 'application/json', 'content-length': '500' }); response.write('{"choices":', () => { response.socket?.resetAndDestroy(); }); }],
    ['an end inside the body', (_nth, _received, response) => { response.writeHead(200, { 'content-type': 'application/json', 'content-length': '500' }); response.write('{"choices":', () => { response.socket?.end(); }); }],
  ])('tries again after %s', async (_name, fault) => {
    await using server = await startServer(faults(fault, fault));
    const { teacher, pauses, waits } = setup(server.url);
    expect((await ask(teacher)).text).toBe('echo q');
    expect(pauses).toEqual([500, 1000]);
    expect(waits.map(({ reason, failedTries }) => [reason, failedTries])).toEqual([['failed', 1], ['failed', 2]]);
  });

  it('gives up after maxAttempts and says how the last try ended', async () => {
    const { error, server } = await failureOf(status(500, { error: { message: `oops ${key} ${'x'.repeat(500)}` } }));
    expect(error).toMatchObject({ code: 'TEACHER.UNREACHABLE', message: expect.stringMatching(/teacher\.model "tiny".*in 3 tries.*HTTP 500: oops \*\*\* x+…$/) as string });
    expect(error.message.length).toBeLessThan(400);
    expect(server.received).toHaveLength(3);
  });

  it.each<[string, Script]>([
    ['answer', () => undefined],
    ['rest of the body', (_nth, _received, response) => { response.writeHead(200, { 'content-type': 'application/json' }).write('{"choi'); }],
  ])('ends a try whose %s does not come in time', async (_name, stall) => {
    await using server = await startServer(faults(stall));
    const { teacher, waits } = setup(server.url, { timeoutSeconds: 0.2 });
    expect((await ask(teacher)).text).toBe('echo q');
    expect(waits[0]?.detail).toBe('no complete answer within 0.2 s');
  });

  it('names a refused connection and a name that does not resolve', async () => {
    const closed = createServer().listen(0, '127.0.0.1');
    await once(closed, 'listening');
    const { port } = closed.address() as { port: number };
    closed.close();
    await expect(ask(setup(`http://127.0.0.1:${String(port)}/v1`).teacher)).rejects.toMatchObject({ code: 'TEACHER.UNREACHABLE', message: expect.stringContaining('ECONNREFUSED') as string });
    const unknown = setup('https://gone.example.com/v1', {}, { resolve: () => Promise.reject(Object.assign(new Error('no'), { code: 'ENOTFOUND' })) });
    await expect(ask(unknown.teacher)).rejects.toMatchObject({ code: 'TEACHER.UNREACHABLE', message: expect.stringContaining('ENOTFOUND') as string });
    expect(unknown.pauses).toHaveLength(2);
  });
});

describe('failures that stay', () => {
  it.each([
    [401, 'environment variable TEACHER_KEY'], [403, 'environment variable TEACHER_KEY'], [404, '/v1/chat/completions'], [402, 'credit'], [405, 'teacher.baseUrl'],
  ])('refuses at once on %d', async (code, remedy) => {
    const { error, server, pauses } = await failureOf(status(code, { error: { message: `Incorrect API key provided: ${key}.` } }));
    expect(error.code).toBe('TEACHER.REFUSED');
    expect(error.message).toMatch(new RegExp(`${server.url.replaceAll('.', '\\.')}.*"tiny".*HTTP ${String(code)}: Incorrect API key provided: \\*\\*\\*`));
    expect(error.remedy).toContain(remedy);
    expect([server.received.length, pauses.length]).toEqual([1, 0]);
  });

  it('asks for a key where none was given', async () => {
    expect((await failureOf(status(401), { apiKey: null })).error.remedy).toContain('env:NAME');
  });

  it.each<[string, Script, string]>([
    ['a page', html, 'not JSON: Sign in'],
    ['no choices', status(200, { ...(completion('a') as object), choices: [] }), '"choices" is empty'],
    ['another shape', status(200, { result: 'ok' }), '"choices" is no list'],
    ['content that is no text', status(200, completion([{ type: 'text', text: 'a' }])), 'content" is not text'],
    ['no finish reason', status(200, completion('a', { finishReason: 7 })), 'finish_reason" is not text'],
    ['half of a JSON', (_nth, _received, response) => { response.writeHead(200, { 'content-type': 'application/json' }).end('{"choices":'); }, 'not JSON'],
    ['nothing', (_nth, _received, response) => { response.writeHead(200, { 'content-type': 'application/json' }).end(); }, 'not a JSON object'],
    ['204', (_nth, _received, response) => { response.writeHead(204).end(); }, 'not a JSON object'],
    ['a compressed body', status(200, completion('a'), { 'content-encoding': 'gzip' }), 'encoded as "gzip"'],
  ])('does not take %s for an answer, after a second try', async (_name, script, words) => {
    const { error, server } = await failureOf(script, { maxAttempts: 5 });
    expect(error).toMatchObject({ code: 'TEACHER.BAD_ANSWER' });
    expect(error.message).toContain(words);
    expect(server.received).toHaveLength(2);
  });

  it('forgives one malformed answer', async () => {
    await using server = await startServer(faults(html));
    expect((await ask(setup(server.url).teacher)).text).toBe('echo q');
  });

  it('refuses a redirect', async () => {
    const { error } = await failureOf((_nth, _received, response) => { response.writeHead(302, { location: 'http://10.0.0.1/' }).end(); });
    expect(error.code).toBe('TEACHER.URL_NOT_ALLOWED');
  });
});

describe('requests that are rejected', () => {
  const tooLong: Script = (nth, received, response) => {
    if (received.body.messages[0]?.content.includes('long') === true) sendJson(response, 400, { error: { message: 'context too long' } });
    else return echo(nth, received, response);
  };

  it('drop their row, cost nothing, are not recorded, and leave the others alone', async () => {
    await using server = await startServer(tooLong);
    const ledger = memoryLedger();
    const { teacher } = setup(server.url, { concurrency: 1 }, { ledger });
    const reasons: (string | null)[] = [];
    const contents = ['long 1', 'long 2', 'long 3', 'long 4', 'short', 'long 5', 'long 6'];
    const usage = await teacher.askAll(() => contents.map((content) => ({ id: content, messages: user(content), sample: 0 })), never, (_id, { dropReason }) => { reasons.push(dropReason); });
    expect(reasons).toEqual(['teacher_rejected', 'teacher_rejected', 'teacher_rejected', 'teacher_rejected', null, 'teacher_rejected', 'teacher_rejected']);
    expect(usage).toMatchObject({ calls: 1, reused: 0 });
    expect(ledger.answers.size).toBe(1);
  });

  it('mean that the options are wrong when they are the first five', async () => {
    await using server = await startServer(tooLong);
    const { teacher } = setup(server.url, { concurrency: 1 });
    const requests = Array.from({ length: 9 }, (_, index) => ({ id: String(index), messages: user(`long ${String(index)}`), sample: 0 }));
    await expect(teacher.askAll(() => requests, never, () => undefined)).rejects.toMatchObject({ code: 'TEACHER.REFUSED', message: expect.stringContaining('context too long') as string });
    expect(server.received).toHaveLength(5);
  });

  it('are sent again with the newer name of the limit where the server wants it', async () => {
    await using server = await startServer((nth, received, response) => {
      if ('max_tokens' in received.body) sendJson(response, 400, { error: { message: "Unsupported parameter: 'max_tokens'", param: 'max_tokens', code: 'unsupported_parameter' } });
      else return echo(nth, received, response);
    });
    const { teacher } = setup(server.url);
    expect((await ask(teacher, 'a')).text).toBe('echo a');
    expect((await ask(teacher, 'b')).text).toBe('echo b');
    expect(server.received.map(({ body }) => body['max_completion_tokens'])).toEqual([undefined, 64, 64]);
  });
});

describe('the key', () => {
  it.each<[string, Record<string, string>]>([['is not set', {}], ['is blank', { TEACHER_KEY: ' \n' }], ['holds a line break', { TEACHER_KEY: 'sk-a\nb-secret' }], ['is not ASCII', { TEACHER_KEY: 'sk-ä-secret' }]])('must be there: refuses one that %s', (_name, environment) => {
    const error = ((): unknown => { try { return setup('http://127.0.0.1:1/v1', {}, { environment }); } catch (thrown) { return thrown; } })();
    expect(error).toMatchObject({ code: 'TEACHER.KEY_MISSING', message: expect.stringContaining('TEACHER_KEY') as string });
    expect(JSON.stringify(error) + String(error)).not.toContain('secret');
  });

  it('stands in no error, whatever the server says', async () => {
    for (const script of [status(401, { error: { message: key } }), status(500, { error: { message: key } }), status(200, { key }), status(418, key)]) {
      const { error } = await failureOf(script);
      const everything = [error, error.cause].map((part) => `${String(part)} ${JSON.stringify(part)} ${part instanceof Error ? part.stack ?? '' : ''}`).join(' ') + error.remedy;
      expect(everything).not.toContain(key);
    }
  });
});
