import { describe, expect, it } from 'vitest';
import { createLimits, type TeacherLimits } from './limits.ts';
import { createTeacher, type Teacher } from './teacher.ts';
import { echo, memoryLedger, never, optionsFor, sendJson, startServer, user } from './testing/fixtures.ts';

/** A clock that sleeping moves on. */
function clock(): { readonly nowMs: () => number; readonly sleep: (ms: number) => Promise<void>; readonly slept: number[] } {
  let now = 0;
  const slept: number[] = [];
  return { nowMs: () => now, slept, sleep: (ms) => { slept.push(ms); now += ms; return Promise.resolve(); } };
}
const options = (url: string, requestsPerMinute: number | null, tokensPerMinute: number | null = null) => optionsFor(url, { concurrency: 1, limits: { requestsPerMinute, tokensPerMinute } });
const teacherAt = (limits: TeacherLimits, of: ReturnType<typeof optionsFor>, ledger = memoryLedger()): Teacher =>
  createTeacher({ options: of, ledger, limits, environment: { A: 'a', B: 'b' }, allowedHosts: ['127.0.0.1'], sleep: () => Promise.resolve(), random: () => 0 });
const ask = (teacher: Teacher, content: string): Promise<unknown> => teacher.ask({ messages: user(content), sample: 0 }, never);

describe('teachers of one endpoint', () => {
  it('share its limits, and only it', async () => {
    await using server = await startServer(echo);
    const time = clock();
    const limits = createLimits(time);
    const [first, second] = [teacherAt(limits, options(server.url, 30)), teacherAt(limits, { ...options(server.url, 30), temperature: 0 })];
    await ask(first, 'a');
    await ask(second, 'b');
    await ask(first, 'c');
    expect(time.slept).toEqual([2000, 2000]);
    await ask(first, 'a');
    for (const change of [{ model: 'other' }, { apiKey: 'env:A' }, { apiKey: 'env:B' }]) await ask(teacherAt(limits, { ...options(server.url, 30), ...change }), 'd');
    expect(time.slept).toEqual([2000, 2000]);
  });

  it('book tokens by an estimate, and pay by what the answer counted', async () => {
    await using server = await startServer(echo);
    const time = clock();
    // Estimate: 64 tokens of answer, 8 for the message, 30 bytes of text; the answer counts 15.
    const teacher = teacherAt(createLimits(time), options(server.url, null, 60));
    for (const letter of 'abc') await ask(teacher, letter.repeat(30));
    expect(time.slept).toEqual([15_000, 15_000]);
  });

  it('take every try for a request', async () => {
    await using server = await startServer((nth, received, response) => { if (nth < 2) sendJson(response, 500, {}); else return echo(nth, received, response); });
    const time = clock();
    await ask(teacherAt(createLimits(time), options(server.url, 60)), 'a');
    expect(time.slept).toEqual([1000, 1000]);
  });

  it('pay once for equal requests of two runs at the same time', async () => {
    await using server = await startServer(echo);
    const limits = createLimits();
    const ledger = memoryLedger();
    const two = [teacherAt(limits, options(server.url, null), ledger), teacherAt(limits, options(server.url, null), ledger)];
    await Promise.all(two.map((teacher) => ask(teacher, 'a')));
    expect(server.received).toHaveLength(1);
  });

  it('know together that all is rejected', async () => {
    let fixed = false;
    await using server = await startServer((nth, received, response) => { if (fixed) return echo(nth, received, response); sendJson(response, 400, { error: { message: 'bad temperature' } }); });
    const limits = createLimits();
    const ask2 = (content: string, change: object = {}): Promise<unknown> => ask(teacherAt(limits, { ...options(server.url, null), ...change }), content);
    for (const content of ['a', 'b', 'c', 'd']) await ask2(content);
    await ask2('e', { temperature: 0 });
    await expect(ask2('e')).rejects.toMatchObject({ code: 'TEACHER.REFUSED', message: expect.stringContaining('bad temperature') as string });
    // Counting begins anew: who tries again after a change at the server is not refused for the past.
    await ask2('f');
    fixed = true;
    await ask2('g');
  });

  it('stop waiting when their signal aborts, and leave their turn to others', async () => {
    const slept: number[] = [];
    const limits = createLimits({ nowMs: () => 0, sleep: (ms, signal) => { slept.push(ms); signal.throwIfAborted(); return Promise.resolve(); } });
    const endpoint = limits.endpointOf(options('http://127.0.0.1:1/v1', 1));
    const minute = { requestsPerMinute: 1, tokensPerMinute: 1000 };
    await endpoint.pace(minute, 500, never);
    await expect(endpoint.pace(minute, 500, AbortSignal.abort(new Error('paused')))).rejects.toThrow('paused');
    await endpoint.pace(minute, 500, never);
    expect(slept).toEqual([60_000, 60_000]);
  });

  it('wait for an equal request no longer than they are wanted', async () => {
    await using server = await startServer(() => undefined);
    const limits = createLimits();
    const stop = new AbortController();
    const first = teacherAt(limits, options(server.url, null)).ask({ messages: user('a'), sample: 0 }, stop.signal);
    const second = new AbortController();
    setTimeout(() => { second.abort(new Error('not wanted')); }, 30);
    await expect(teacherAt(limits, options(server.url, null)).ask({ messages: user('a'), sample: 0 }, second.signal)).rejects.toThrow('not wanted');
    stop.abort(new Error('end'));
    await expect(first).rejects.toThrow('end');
  });
});
