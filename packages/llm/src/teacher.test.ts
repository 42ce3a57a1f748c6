import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { completion, echo, memoryLedger, never, optionsFor, sendJson, startServer, user } from './testing/fixtures.ts';
import type { TeacherAnswer, TeacherRequest } from './answers.ts';
import { createLimits } from './limits.ts';
import { createTeacher, type Teacher, type TeacherDependencies } from './teacher.ts';

const local = { environment: {}, allowedHosts: ['127.0.0.1'] };
const teacherAt = (url: string, rest: Partial<TeacherDependencies> = {}): Teacher => createTeacher({ options: optionsFor(url), ledger: memoryLedger(), limits: createLimits(), ...local, ...rest });
const rows = (count: number): TeacherRequest[] => Array.from({ length: count }, (_, index) => ({ id: `row${String(index)}`, messages: user(`question ${String(index)}`), sample: 0 }));

describe('ask', () => {
  it('sends what the options say and nothing from the environment of the process', async () => {
    process.env['OPENAI_ORG_ID'] = 'org-from-elsewhere';
    process.env['OPENAI_API_KEY'] = 'sk-from-elsewhere';
    await using server = await startServer(echo);
    const options = optionsFor(server.url, { apiKey: 'env:MY_KEY', seed: 5, temperature: 0, topP: 1, maxTokens: 32 });
    const teacher = teacherAt(server.url, { options, environment: { MY_KEY: ' sk-mine\n' } });
    await teacher.ask({ messages: [{ role: 'system', content: 's' }, ...user('q ∈ 😀')], sample: 2 }, never);
    const [sent] = server.received;
    expect(sent?.path).toBe('/v1/chat/completions');
    expect(sent?.body).toEqual({ model: 'tiny', messages: [{ role: 'system', content: 's' }, { role: 'user', content: 'q ∈ 😀' }], temperature: 0, top_p: 1, max_tokens: 32, stream: false, seed: 7 });
    expect(sent?.headers.authorization).toBe('Bearer sk-mine');
    expect(JSON.stringify(sent?.headers)).not.toContain('elsewhere');
    await teacherAt(server.url).ask({ messages: user('q'), sample: 0 }, never);
    expect(server.received[1]?.headers.authorization).toBeUndefined();
    expect(server.received[1]?.body).not.toHaveProperty('seed');
  });

  it.each([
    ['keeps inner and leading white space', completion('  a\n\n b \n\n'), { text: '  a\n\n b', finishReason: 'stop', dropReason: null, promptTokens: 10, completionTokens: 5 }],
    ['tells a cut answer', completion('half of', { finishReason: 'length' }), { text: 'half of', finishReason: 'length', dropReason: null }],
    ['drops an empty one', completion(' \n'), { text: '', dropReason: 'teacher_empty' }],
    ['drops null content', completion(null), { text: '', dropReason: 'teacher_empty' }],
    ['drops a refusal', completion(null, { refusal: 'I cannot do that' }), { text: '', finishReason: 'refusal', dropReason: 'teacher_refused' }],
    ['drops a filtered one', completion('par', { finishReason: 'content_filter' }), { finishReason: 'content_filter', dropReason: 'teacher_refused' }],
  ])('%s, and the ledger gives the same again', async (_name, body, expected) => {
    await using server = await startServer((_nth, _received, response) => { sendJson(response, 200, body); });
    const teacher = teacherAt(server.url);
    const first = await teacher.ask({ messages: user('q'), sample: 0 }, never);
    expect(first).toMatchObject({ ...expected, reused: false });
    expect(await teacher.ask({ messages: user('q'), sample: 0 }, never)).toEqual({ ...first, reused: true });
    expect(server.received).toHaveLength(1);
  });

  it('counts tokens and cost of paid answers only', async () => {
    await using server = await startServer(echo);
    const teacher = teacherAt(server.url, { options: optionsFor(server.url, { price: { promptPerMillion: 10, completionPerMillion: 30 } }) });
    for (const content of ['a', 'b', 'a']) await teacher.ask({ messages: user(content), sample: 0 }, never);
    expect(teacher.usage()).toEqual({ calls: 2, reused: 1, batches: 0, promptTokens: 20, completionTokens: 10, cost: expect.closeTo((20 * 10 + 10 * 30) / 1e6, 12) as number });
  });

  it('knows no cost when the server counts no tokens', async () => {
    await using server = await startServer((_nth, _received, response) => { sendJson(response, 200, completion('a', { usage: 'none' })); });
    const teacher = teacherAt(server.url, { options: optionsFor(server.url, { price: { promptPerMillion: 1, completionPerMillion: 1 } }) });
    expect(await teacher.ask({ messages: user('q'), sample: 0 }, never)).toMatchObject({ promptTokens: 0, completionTokens: 0 });
    expect(teacher.usage()).toMatchObject({ calls: 1, cost: null });
  });

  it('pays once for equal requests at the same time', async () => {
    await using server = await startServer(async (nth, received, response) => { await delay(50); await echo(nth, received, response); });
    const teacher = teacherAt(server.url);
    const answers = await Promise.all([1, 2, 3].map(() => teacher.ask({ messages: user('q'), sample: 0 }, never)));
    expect(server.received).toHaveLength(1);
    expect(answers.map(({ text }) => text)).toEqual(['echo q', 'echo q', 'echo q']);
    expect(teacher.usage()).toMatchObject({ calls: 1, reused: 2 });
  });

  it('an abort of one of two equal requests leaves the other its answer', async () => {
    await using server = await startServer(async (nth, received, response) => { await delay(80); await echo(nth, received, response); });
    const teacher = teacherAt(server.url);
    const first = new AbortController();
    const one = teacher.ask({ messages: user('q'), sample: 0 }, first.signal);
    const two = teacher.ask({ messages: user('q'), sample: 0 }, never);
    setTimeout(() => { first.abort(new Error('not wanted')); }, 20);
    await expect(one).rejects.toThrow('not wanted');
    expect(await two).toMatchObject({ text: 'echo q', reused: false });
  });

  it('hands nothing on that is not recorded', async () => {
    await using server = await startServer(echo);
    const teacher = teacherAt(server.url, { ledger: { find: () => Promise.resolve(new Map()), record: () => Promise.reject(new Error('disk full')) } });
    await expect(teacher.ask({ messages: user('q'), sample: 0 }, never)).rejects.toThrow('disk full');
  });
});

describe('askAll', () => {
  it('answers each request exactly once and keeps to the concurrency', async () => {
    await using server = await startServer(async (nth, received, response) => { await delay((nth * 7) % 30); await echo(nth, received, response); });
    const teacher = teacherAt(server.url, { options: optionsFor(server.url, { concurrency: 3 }) });
    let read = 0;
    let handed = 0;
    async function* source(): AsyncGenerator<TeacherRequest> {
      for (const row of rows(25)) {
        read += 1;
        expect(read - handed).toBeLessThanOrEqual(4);
        yield await Promise.resolve(row);
      }
    }
    const answers = new Map<string, TeacherAnswer>();
    const usage = await teacher.askAll(source, never, async (id, answer) => {
      expect(answers.has(id)).toBe(false);
      answers.set(id, answer);
      await delay(1);
      handed += 1;
    });
    expect(answers.size).toBe(25);
    expect(answers.get('row7')?.text).toBe('echo question 7');
    expect(server.busiest()).toBe(3);
    expect(usage).toEqual({ calls: 25, reused: 0, batches: 0, promptTokens: 250, completionTokens: 125, cost: null });
  });

  it('does not pay again after an abort', async () => {
    await using server = await startServer(echo);
    const ledger = memoryLedger();
    const stop = new AbortController();
    let seen = 0;
    await expect(teacherAt(server.url, { ledger }).askAll(() => rows(30), stop.signal, () => { seen += 1; if (seen === 10) stop.abort(new Error('paused')); })).rejects.toThrow('paused');
    expect(seen).toBe(10);
    const recorded = ledger.answers.size;
    expect(recorded).toBeGreaterThanOrEqual(10);
    expect(recorded).toBeLessThanOrEqual(14);
    const usage = await teacherAt(server.url, { ledger }).askAll(() => rows(30), never, () => undefined);
    expect(usage).toMatchObject({ calls: 30 - recorded, reused: recorded });
    // Only what was on its way when the signal fired may have been asked twice.
    expect(server.received.length).toBeLessThanOrEqual(30 + 14 - recorded);
    expect(await teacherAt('http://127.0.0.1:9/v1', { ledger }).askAll(() => rows(30), never, () => undefined)).toMatchObject({ calls: 0, reused: 30 });
  });

  it('ends soon after an abort although the teacher is silent', async () => {
    await using server = await startServer(() => undefined);
    const stop = new AbortController();
    setTimeout(() => { stop.abort(new Error('canceled')); }, 50);
    await expect(teacherAt(server.url).askAll(() => rows(8), stop.signal, () => undefined)).rejects.toThrow('canceled');
    expect(server.received).toHaveLength(4);
  });

  it('throws what the receiver or the source throws and starts nothing more', async () => {
    await using server = await startServer(echo);
    await expect(teacherAt(server.url).askAll(() => rows(50), never, (id) => { if (id === 'row3') throw new Error('cannot write'); })).rejects.toThrow('cannot write');
    expect(server.received.length).toBeLessThan(12);
    const broken = function* (): Generator<TeacherRequest> { yield* rows(2); throw new Error('cannot read'); };
    await expect(teacherAt(server.url).askAll(broken, never, () => undefined)).rejects.toThrow('cannot read');
  });
});
