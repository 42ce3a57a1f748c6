import { describe, expect, it } from 'vitest';
import type { EndpointTeacher } from '@sgpo/core';
import type { TeacherAnswer, TeacherRequest } from './answers.ts';
import type { BatchNote } from './batch-work.ts';
import type { BudgetGate } from './budget.ts';
import { ledgerKey } from './ledger.ts';
import { createLimits } from './limits.ts';
import { createTeacher, type Teacher, type TeacherDependencies } from './teacher.ts';
import { startBatchServer, type BatchServer, type BatchServerOptions, type RowOutcome } from './testing/batch-server.ts';
import { memoryBatches, memoryLedger, never, optionsFor, recordSleep, user } from './testing/fixtures.ts';
import { sumOf } from './tokens.ts';
import type { TeacherUsage } from './usage.ts';

const rows = (count: number): TeacherRequest[] => Array.from({ length: count }, (_, index) => ({ id: `row${String(index)}`, messages: user(`question ${String(index)}`), sample: 0 }));
const batchOptions = (url: string, changes: Partial<EndpointTeacher> = {}): EndpointTeacher => optionsFor(url, { mode: 'batch', ...changes });
const keyOf = (row: TeacherRequest): string => ledgerKey(batchOptions('http://x/v1'), row.messages, row.sample);

interface Setup { readonly teacher: Teacher; readonly ledger: ReturnType<typeof memoryLedger>; readonly batches: ReturnType<typeof memoryBatches>; readonly notes: BatchNote[]; readonly pauses: number[] }
function setup(server: Pick<BatchServer, 'url'>, options: Partial<EndpointTeacher> = {}, rest: Partial<TeacherDependencies> & Partial<Pick<Setup, 'ledger' | 'batches'>> = {}): Setup {
  const { sleep, pauses } = recordSleep();
  const { ledger = memoryLedger(), batches = memoryBatches() } = rest;
  const notes: BatchNote[] = [];
  const teacher = createTeacher({
    options: batchOptions(server.url, options), limits: createLimits(), environment: { TEACHER_KEY: 'sk-secret-1' }, allowedHosts: ['127.0.0.1'], sleep, random: () => 0,
    onBatch: (note) => { notes.push(note); }, isCanceled: (reason) => reason === 'canceled', ...rest, ledger, batches,
  });
  return { teacher, ledger, batches, notes, pauses };
}

interface Outcome { readonly usage: TeacherUsage; readonly answers: Map<string, TeacherAnswer>; readonly progress: number[] }
async function askAll({ teacher }: Setup, requests: readonly TeacherRequest[], signal = never): Promise<Outcome> {
  const answers = new Map<string, TeacherAnswer>();
  const progress: number[] = [];
  const usage = await teacher.askAll(() => requests, signal, (id, answer) => {
    expect(answers.has(id)).toBe(false);
    answers.set(id, answer);
  }, (done) => { progress.push(done); });
  expect(answers.size).toBe(requests.length);
  return { usage, answers, progress };
}
const dropped = ({ answers }: Outcome): Record<string, string | null> => Object.fromEntries([...answers].filter(([, { dropReason }]) => dropReason !== null).map(([id, { dropReason }]) => [id, dropReason]));

describe('a batch', () => {
  it('asks the same as a call, in one file, and answers every row once', async () => {
    await using server = await startBatchServer({ polls: () => 3 });
    const made = setup(server, { seed: 7, apiKey: 'env:TEACHER_KEY', price: { promptPerMillion: 10, completionPerMillion: 30 } });
    const asked = [...rows(4), { id: 'again', messages: user('question 1'), sample: 0 }, { id: 'second', messages: user('question 1'), sample: 1 }];
    const outcome = await askAll(made, asked);
    expect(server.uploads).toHaveLength(1);
    expect(server.uploads[0]).toMatchObject({ name: 'requests.jsonl', purpose: 'batch' });
    const lines = server.uploads[0]!.text.trimEnd().split('\n').map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines).toHaveLength(5);
    expect(lines[4]).toEqual({
      custom_id: ledgerKey(batchOptions('', { seed: 7 }), user('question 1'), 1), method: 'POST', url: '/v1/chat/completions',
      body: { model: 'tiny', messages: [{ role: 'user', content: 'question 1' }], temperature: 0.7, top_p: 0.9, max_tokens: 64, seed: 8 },
    });
    expect(outcome.answers.get('row3')).toEqual({ text: 'echo question 3', finishReason: 'stop', promptTokens: 10, completionTokens: 5, reused: false, dropReason: null });
    expect(outcome.answers.get('again')).toMatchObject({ text: 'echo question 1', reused: true });
    expect(outcome.usage).toEqual({ calls: 5, reused: 1, batches: 1, promptTokens: 50, completionTokens: 25, cost: expect.closeTo((50 * 10 + 25 * 30) / 2e6, 12) as number });
    expect(made.pauses).toEqual([1000, 1500, 2250]);
    expect(made.batches.rows).toMatchObject([{ state: 'collected', batchId: 'batch_0', requests: 5 }]);
    expect(server.batches[0]?.metadata).toEqual({ sgpo_key: made.batches.rows[0]?.key, sgpo_batch: 'row-0' });
  });

  it('reuses what a call paid for, and the other way round', async () => {
    await using server = await startBatchServer();
    const ledger = memoryLedger();
    const calls = createTeacher({ options: optionsFor(server.url), ledger, limits: createLimits(), environment: {}, allowedHosts: ['127.0.0.1'] });
    await calls.askAll(() => rows(3), never, () => undefined);
    const outcome = await askAll(setup(server, {}, { ledger }), rows(5));
    expect(outcome.usage).toMatchObject({ calls: 2, reused: 3, batches: 1 });
    expect(await calls.askAll(() => rows(5), never, () => undefined)).toMatchObject({ calls: 0, reused: 5 });
    expect(server.count('chat')).toBe(3);
    const again = await askAll(setup({ url: 'http://127.0.0.1:9/v1' }, {}, { ledger }), rows(5));
    expect(again.usage).toMatchObject({ calls: 0, reused: 5, batches: 0, cost: null });
  });

  it('is cut where the provider has its limits', async () => {
    await using server = await startBatchServer();
    const made = setup(server, {}, { batchSize: { requests: 300, bytes: 100_000 } });
    const outcome = await askAll(made, rows(700));
    expect(outcome.usage).toMatchObject({ calls: 700, batches: 3 });
    expect(server.batches.map(({ requests }) => requests)).toEqual([300, 300, 100]);
    expect(server.batches.flatMap(({ customIds }) => customIds)).toEqual(rows(700).map(keyOf));
    const bytes = setup(server, {}, { batchSize: { requests: 300, bytes: 1000 } });
    await askAll(bytes, rows(9));
    expect(Math.max(...server.uploads.slice(3).map(({ text }) => text.length))).toBeLessThanOrEqual(1000);
    expect(bytes.batches.rows.reduce((sum, { requests }) => sum + requests, 0)).toBe(9);
  });

  it('asks the same once, however far apart the rows are', async () => {
    await using server = await startBatchServer();
    const outcome = await askAll(setup(server), [...rows(600), { id: 'again', messages: user('question 0'), sample: 0 }]);
    expect(outcome.usage).toMatchObject({ calls: 600, reused: 1, batches: 1 });
    expect(server.batches[0]?.customIds).toEqual(rows(600).map(keyOf));
  });

  it('tells how far it is', async () => {
    await using server = await startBatchServer();
    const made = setup(server);
    const first = await askAll(made, rows(3));
    expect(first.progress.at(-1)).toBeLessThanOrEqual(3);
    const second = await askAll(made, rows(5));
    expect(second.progress[0]).toBe(3);
  });

  it('is read as it comes, however large its results are together', async () => {
    await using server = await startBatchServer({ answer: () => 'ü'.repeat(30_000) });
    const outcome = await askAll(setup(server), rows(600));
    expect(outcome.answers.get('row599')?.text).toHaveLength(30_000);
  });
});

describe('rows without an answer', () => {
  const byQuestion = (outcomes: Readonly<Record<string, RowOutcome | ((batch: number) => RowOutcome)>>): NonNullable<BatchServerOptions['outcome']> => ({ request, batch }) => {
    const planned = outcomes[request.messages.at(-1)?.content.replace('question ', '') ?? ''] ?? 'answer';
    return typeof planned === 'function' ? planned(batch) : planned;
  };
  const once = (planned: RowOutcome) => (batch: number): RowOutcome => (batch === 0 ? planned : 'answer');

  it('are asked again when that may help, and only they', async () => {
    await using server = await startBatchServer({ outcome: byQuestion({ 1: once('server_error'), 2: once('missing'), 3: once('twice'), 4: once({ status: 429, body: { error: { message: 'slow' } } }), 5: once({ status: 200, body: { choices: [] } }) }) });
    const made = setup(server);
    const outcome = await askAll(made, rows(8));
    expect(dropped(outcome)).toEqual({});
    expect(outcome.answers.get('row3')?.text).toBe('echo question 3');
    expect(server.batches.map(({ requests }) => requests)).toEqual([8, 4]);
    expect([...server.paid.values()].every((times) => times === 1)).toBe(true);
    expect(outcome.usage).toMatchObject({ calls: 8, batches: 2 });
  });

  it('are dropped, each with its reason, when it does not', async () => {
    await using server = await startBatchServer({ outcome: byQuestion({
      1: 'server_error', 2: 'missing', 3: 'rejected', 4: { status: 200, body: { choices: [{ finish_reason: 'stop', message: { content: null, refusal: 'no' } }] } },
      5: { status: 200, body: { choices: [{ finish_reason: 'length', message: { content: 'half of' } }], usage: { prompt_tokens: 1, completion_tokens: 2 } } }, 6: { status: 200, body: { choices: [{ finish_reason: 'stop', message: { content: ' ' } }] } },
    }) });
    const made = setup(server);
    const outcome = await askAll(made, rows(8));
    expect(dropped(outcome)).toEqual({ row1: 'teacher_failed', row2: 'teacher_failed', row3: 'teacher_rejected', row4: 'teacher_refused', row6: 'teacher_empty' });
    expect(outcome.answers.get('row5')).toMatchObject({ text: 'half of', finishReason: 'length', dropReason: null });
    expect(server.batches.map(({ requests }) => requests)).toEqual([8, 2, 2]);
    expect(made.ledger.answers.size).toBe(5);
    // Two answers came without counted tokens: nobody knows the cost.
    expect(outcome.usage).toMatchObject({ calls: 5, cost: null });
  });

  it('end the work when none has one', async () => {
    await using server = await startBatchServer({ outcome: () => 'server_error' });
    const made = setup(server);
    await expect(askAll(made, rows(3))).rejects.toMatchObject({ code: 'TEACHER.BATCH_FAILED', message: expect.stringMatching(/none of 3 requests.*3 rounds.*HTTP 500: The server had an error/) as string });
    expect(server.batches).toHaveLength(3);
  });

  it('mean wrong options when all are rejected, and are asked anew after that', async () => {
    let fixed = false;
    await using server = await startBatchServer({ outcome: () => (fixed ? 'answer' : 'rejected') });
    const made = setup(server);
    await expect(askAll(made, rows(9))).rejects.toMatchObject({ code: 'TEACHER.REFUSED', message: expect.stringContaining('context too long') as string });
    expect(server.batches).toHaveLength(1);
    fixed = true;
    expect((await askAll(made, rows(9))).usage).toMatchObject({ calls: 9 });
  });

  it('are asked with the newer name of the limit where the server wants it', async () => {
    await using server = await startBatchServer({ outcome: ({ request }) => ('max_tokens' in request ? { status: 400, body: { error: { message: 'Unsupported', code: 'unsupported_parameter', param: 'max_tokens' } } } : 'answer') });
    expect((await askAll(setup(server), rows(7))).usage).toMatchObject({ calls: 7, batches: 2 });
  });

  it('are looked for in lines that are broken', async () => {
    await using server = await startBatchServer({ outcome: byQuestion({ 0: once('malformed') }) });
    const made = setup(server);
    expect((await askAll(made, rows(3))).usage).toMatchObject({ calls: 3 });
    expect(made.notes.find(({ event }) => event === 'ended')?.detail).toBe('completed; 3 lines that name no request');
  });
});

describe('a batch that does not complete', () => {
  it.each(['expired', 'cancelled'] as const)('is %s: what it finished is kept and the rest asked again', async (how) => {
    await using server = await startBatchServer({ end: (batch) => (batch === 0 ? how : 'completed') });
    const outcome = await askAll(setup(server), rows(10));
    expect(dropped(outcome)).toEqual({});
    expect(server.batches.map(({ requests }) => requests)).toEqual([10, 5]);
    expect([...server.paid.values()]).toEqual(Array.from({ length: 10 }, () => 1));
  });

  it('fails the work when the provider refuses it, in its words', async () => {
    await using server = await startBatchServer({ end: () => ({ errors: [{ code: 'invalid_json_line', message: 'This line is not <b>JSON</b>', line: 3 }, { code: 'model_not_found', message: 'sk-secret-1' }] }) });
    const made = setup(server, { apiKey: 'env:TEACHER_KEY' });
    await expect(askAll(made, rows(3))).rejects.toMatchObject({ code: 'TEACHER.BATCH_FAILED', message: expect.stringContaining('batch_0 of 3 requests was refused: line 3: This line is not JSON (invalid_json_line); *** (model_not_found)') as string });
    expect(made.batches.rows).toMatchObject([{ state: 'failed' }]);
  });

  it('waits for room in the queue of the provider, and does not count that', async () => {
    await using server = await startBatchServer({ end: (batch) => (batch < 4 ? { errors: [{ code: 'token_limit_exceeded', message: 'Enqueued token limit reached' }] } : 'completed') });
    const made = setup(server, { maxAttempts: 1 });
    expect((await askAll(made, rows(3))).usage).toMatchObject({ calls: 3, batches: 1 });
    expect(made.pauses.filter((ms) => ms === 300_000)).toHaveLength(4);
  });

  it('is asked anew when the provider has lost it', async () => {
    await using server = await startBatchServer({ fault: ({ kind, nth }) => (kind === 'retrieve' && nth === 0 ? { status: 404 } : null) });
    const made = setup(server);
    expect((await askAll(made, rows(3))).usage).toMatchObject({ calls: 3 });
    expect(made.batches.rows.map(({ state }) => state)).toEqual(['failed', 'collected']);
  });

  it('has its result file gone: its rows are asked again', async () => {
    await using server = await startBatchServer({ fault: ({ kind, nth }) => (kind === 'content' && nth === 0 ? { status: 404 } : null) });
    expect((await askAll(setup(server), rows(3))).usage).toMatchObject({ calls: 3, batches: 2 });
  });
});

describe('faults of the way', () => {
  it.each(['reset', 'swallow', 'cut', { status: 500 }, { status: 429, headers: { 'retry-after': '2' } }, { status: 503, headers: { 'x-ratelimit-reset-requests': '1m3s' } }] as const)('%j at any call is survived without a second batch', async (fault) => {
    await using server = await startBatchServer({ fault: ({ nth }) => (nth === 0 ? fault : null) });
    const made = setup(server, { maxAttempts: 4 });
    const outcome = await askAll(made, rows(40));
    expect(dropped(outcome)).toEqual({});
    expect(server.batches).toHaveLength(1);
    expect([...server.paid.values()]).toEqual(Array.from({ length: 40 }, () => 1));
    expect(outcome.usage).toMatchObject({ calls: 40, batches: 1, promptTokens: 400 });
    if (typeof fault === 'object' && fault.status !== 500) expect(made.pauses).toContain(fault.status === 429 ? 2000 : 63_000);
  });

  it.each([[59, true], [60, false]] as const)('a provider that is away for %d looks, each tried twice, is waited for: %s', async (looks, waited) => {
    await using server = await startBatchServer({ fault: ({ kind, nth }) => (kind === 'retrieve' && nth < looks * 2 ? 'reset' : null) });
    const made = setup(server, { maxAttempts: 2 });
    if (waited) expect((await askAll(made, rows(2))).usage).toMatchObject({ calls: 2, batches: 1 });
    else await expect(askAll(made, rows(2))).rejects.toMatchObject({ code: 'TEACHER.UNREACHABLE' });
    expect(made.batches.rows).toMatchObject([{ state: waited ? 'collected' : 'open' }]);
  });

  it('a transfer that stalls is begun again', async () => {
    await using server = await startBatchServer({ fault: ({ kind, nth }) => (kind === 'content' && nth === 0 ? 'pause' : null) });
    const made = setup(server, { timeoutSeconds: 0.2 });
    expect((await askAll(made, rows(40))).usage).toMatchObject({ calls: 40, batches: 1 });
    expect(server.count('content')).toBe(2);
  });

  it('a server without a Batch API is named', async () => {
    await using server = await startBatchServer({ fault: ({ kind }) => (kind === 'upload' ? { status: 404, body: { error: { message: 'no route' } } } : null) });
    await expect(askAll(setup(server), rows(2))).rejects.toMatchObject({ code: 'TEACHER.REFUSED', message: expect.stringContaining('no route') as string, remedy: expect.stringContaining('teacher.mode to requests') as string });
  });

  it('a batch that is refused at once is closed', async () => {
    await using server = await startBatchServer({ fault: ({ kind }) => (kind === 'create' ? { status: 400, body: { error: { message: 'not with this key' } } } : null) });
    const made = setup(server);
    await expect(askAll(made, rows(2))).rejects.toMatchObject({ code: 'TEACHER.BATCH_FAILED', message: expect.stringContaining('not with this key') as string });
    expect(made.batches.rows).toMatchObject([{ state: 'failed', batchId: null }]);
  });

  it.each([{ id: 'batch_1', status: 'dreaming' }, { id: '../files', status: 'completed' }, [], { status: 'completed' }])('%j is no batch', async (body) => {
    await using server = await startBatchServer({ fault: ({ kind }) => (kind === 'create' ? { status: 200, body } : null) });
    await expect(askAll(setup(server), rows(2))).rejects.toMatchObject({ code: 'TEACHER.BAD_ANSWER' });
  });
});

describe('the end of the work before its answers', () => {
  it('by the shutdown of the process leaves the batch alone, and the next process collects it', async () => {
    await using server = await startBatchServer({ polls: (batch) => (batch === 0 ? 3 : 0) });
    const stop = new AbortController();
    const first = setup(server, {}, { sleep: (_ms, signal) => { stop.abort(new Error('shutting down')); signal.throwIfAborted(); return Promise.resolve(); } });
    await expect(askAll(first, rows(6), stop.signal)).rejects.toThrow('shutting down');
    expect(server.count('cancel')).toBe(0);
    expect(first.batches.rows).toMatchObject([{ state: 'open', batchId: 'batch_0' }]);
    const second = setup(server, {}, { ledger: first.ledger, batches: first.batches });
    expect((await askAll(second, rows(6))).usage).toMatchObject({ calls: 6, batches: 1 });
    expect(server.batches).toHaveLength(1);
    expect(second.notes[0]).toMatchObject({ event: 'resumed', batchId: 'batch_0' });
  });

  it('by its owner cancels the batch at the provider, and keeps what is finished', async () => {
    await using server = await startBatchServer({ polls: (batch) => (batch === 0 ? Infinity : 0) });
    const stop = new AbortController();
    const first = setup(server, {}, { sleep: (_ms, signal) => { if (!stop.signal.aborted) stop.abort('canceled'); signal.throwIfAborted(); return Promise.resolve(); } });
    await expect(askAll(first, rows(6), stop.signal)).rejects.toBe('canceled');
    expect(server.batches[0]?.status).toBe('cancelled');
    expect(first.batches.rows).toMatchObject([{ state: 'collected' }]);
    expect(first.ledger.answers.size).toBe(3);
    expect((await askAll(setup(server, {}, { ledger: first.ledger, batches: first.batches }), rows(6))).usage).toMatchObject({ calls: 3, reused: 3 });
    expect([...server.paid.values()]).toEqual([1, 1, 1, 1, 1, 1]);
  });

  it('is told when the provider does not cancel', async () => {
    await using server = await startBatchServer({ polls: () => Infinity, fault: ({ kind }) => (kind === 'cancel' ? { status: 401 } : null) });
    const stop = new AbortController();
    const made = setup(server, {}, { sleep: () => { stop.abort('canceled'); return Promise.resolve(); } });
    await expect(askAll(made, rows(2), stop.signal)).rejects.toBe('canceled');
    expect(made.notes.at(-1)).toMatchObject({ event: 'not_canceled', batchId: 'batch_0', detail: expect.stringContaining('HTTP 401') as string });
    expect(made.batches.rows).toMatchObject([{ state: 'open' }]);
  });
});

describe('a budget', () => {
  /** Room for so many tokens, of which an answer takes 15. */
  function gateOf(tokens: number, spent: () => number): BudgetGate & { readonly reserved: () => number } {
    let reserved = 0;
    const take = (need: number) => { reserved += need; let open = true; return { settle: () => { if (open) reserved -= need; open = false; } }; };
    const fits = (need: number): boolean => spent() + reserved + need <= tokens;
    return {
      reserved: () => reserved,
      reserve: (worst) => (fits(sumOf(worst)) ? Promise.resolve(take(sumOf(worst))) : Promise.reject(new Error('budget reached'))),
      reserveFirst: (all) => { const granted = []; for (const worst of all) { if (!fits(sumOf(worst))) break; granted.push(take(sumOf(worst))); } return Promise.resolve(granted); },
      hold: (worst) => take(sumOf(worst)),
      reached: () => Promise.reject(new Error('budget reached')),
    };
  }

  it('lets through what fits, in order, and the rest when there is more', async () => {
    await using server = await startBatchServer();
    const ledger = memoryLedger();
    const spent = (): number => 15 * ledger.answers.size;
    // A row may need 64 tokens for its answer and 12 for its prompt.
    const gate = gateOf(76 + 20, spent);
    await expect(askAll(setup(server, {}, { ledger, budget: gate }), rows(8))).rejects.toThrow('budget reached');
    expect(server.batches.map(({ customIds }) => customIds)).toEqual([[keyOf(rows(8)[0]!)], [keyOf(rows(8)[1]!)]]);
    expect(gate.reserved()).toBe(0);
    expect(ledger.answers.size).toBe(2);
    await expect(askAll(setup(server, {}, { ledger, budget: gateOf(60, spent) }), rows(8))).rejects.toThrow('budget reached');
    expect(server.batches).toHaveLength(2);
    const raised = gateOf(10_000, spent);
    const outcome = await askAll(setup(server, {}, { ledger, budget: raised }), rows(8));
    expect(outcome.usage).toMatchObject({ calls: 6, reused: 2 });
    expect(raised.reserved()).toBe(0);
  });

  it('gives to the next batch what the answers of the last one left', async () => {
    await using server = await startBatchServer();
    const ledger = memoryLedger();
    const gate = gateOf(76 * 3 + 10, () => 15 * ledger.answers.size);
    expect((await askAll(setup(server, {}, { ledger, budget: gate }), rows(8))).usage).toMatchObject({ calls: 8, batches: 4 });
    expect(server.batches.map(({ customIds }) => customIds.length)).toEqual([3, 2, 2, 1]);
    expect(gate.reserved()).toBe(0);
  });

  it('serves what is in the ledger although it is spent', async () => {
    await using server = await startBatchServer();
    const ledger = memoryLedger();
    await askAll(setup(server, {}, { ledger }), rows(4));
    expect((await askAll(setup(server, {}, { ledger, budget: gateOf(0, () => 0) }), rows(4))).usage).toMatchObject({ calls: 0, reused: 4 });
  });

  it('counts a batch that an earlier process sent', async () => {
    await using server = await startBatchServer({ polls: () => 2 });
    const stop = new AbortController();
    const first = setup(server, {}, { sleep: (_ms, signal) => { stop.abort(new Error('shutting down')); signal.throwIfAborted(); return Promise.resolve(); } });
    await expect(askAll(first, rows(4), stop.signal)).rejects.toThrow('shutting down');
    const gate = gateOf(1_000_000, () => 0);
    let held = 0;
    const second = setup(server, {}, { ledger: first.ledger, batches: first.batches, budget: gate, sleep: () => { held = gate.reserved(); return Promise.resolve(); } });
    await askAll(second, rows(4));
    expect(held).toBe(4 * 76);
    expect(gate.reserved()).toBe(0);
  });
});
