import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { estimateSchema, previewSchema, runDetailSchema, runSchema, studySchema } from '@sgpo/contracts';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { sgpo, type Outcome } from '../testing/command.ts';

interface Asked { readonly path: string; readonly token: string | undefined; readonly body: unknown }
interface Answer { readonly status?: number; readonly type?: string; readonly body: unknown }

/** The far side: a real server that answers each path with what a test says, the last answer again and again. */
let server: Server;
let url: string;
let folder: string;
let asked: Asked[];
let answers: Record<string, Answer[]>;

beforeEach(async () => {
  [asked, answers, folder] = [[], {}, mkdtempSync(join(tmpdir(), 'sgpo-launch-'))];
  server = createServer((request, response) => {
    let text = '';
    request.on('data', (chunk: Buffer) => { text += chunk.toString(); });
    request.on('end', () => {
      const path = `${request.method!} ${request.url!}`;
      asked.push({ path, token: request.headers.authorization, body: text === '' ? null : JSON.parse(text) });
      const list = answers[path]!;
      const { status = 200, type = 'application/json', body } = (list.length > 1 ? list.shift() : list[0])!;
      response.writeHead(status, { 'content-type': type }).end(typeof body === 'string' ? body : JSON.stringify(body));
    });
  });
  await new Promise<void>((done) => { server.listen(0, '127.0.0.1', done); });
  url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
  writeFileSync(join(folder, 'rows.jsonl'), '');
  writeFileSync(join(folder, 'run.yaml'), 'preset: spin\nmodel: {path: weights}\ndata: {policy: {path: rows.jsonl}}\n');
  writeFileSync(join(folder, 'study.yaml'), 'name: s\npresets: [spin]\nbase: {model: {path: weights}, data: {policy: {path: rows.jsonl}}}\n');
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
  rmSync(folder, { recursive: true, force: true });
});

const launch = (args: readonly string[], environment: Readonly<Record<string, string>> = { SGPO_TOKEN: 'sgpo_t' }): Promise<Outcome> => sgpo(['launch', '--url', url, ...args], { cwd: folder, environment });

const run = (change: object = {}): object => runSchema.parse({
  id: 'run_1', name: null, preset: 'spin', state: 'queued', failure: null, progress: { tasksDone: 0, tasksTotal: 1, fraction: 0 }, pauseReason: null, budget: { tokens: null, cost: null }, preview: false,
  study: null, createdAt: '2026-01-01T00:00:00.000Z', updatedAt: '2026-01-01T00:00:00.000Z', startedAt: null, endedAt: null, ...change,
});
const spent = { calls: 0, promptTokens: 0, completionTokens: 0, cost: 0 };
const detail = (change: object): object => ({ ...run(change), spent, spec: specOfRun, steps: [] });
const specOfRun = { preset: 'spin', model: { path: '/m' }, data: { policy: { path: '/p' } }, recipe: { improver: 'none', targets: [], referenceInTraining: false, referenceInRefining: false, chosen: 'reference', rejected: 'sampled', rounds: 1 }, evaluation: { maxNewTokens: 9 } };
const problemDocument = (status: number, code: string, problems: readonly object[] = []): Answer =>
  ({ status, type: 'application/problem+json', body: { type: `/problems/${code}`, title: 't', status, code, detail: 'what is wrong', remedy: 'what to do', problems, instance: '/v1/runs', requestId: 'q' } });

test('a run is sent with its token and absolute paths', async () => {
  answers['POST /v1/runs'] = [{ status: 201, body: run() }];
  const { code, stdout } = await launch(['-f', 'run.yaml']);
  expect(code).toBe(0);
  expect(stdout).toContain('Run run_1 (spin) is queued');
  expect(asked).toEqual([{ path: 'POST /v1/runs', token: 'Bearer sgpo_t', body: { preset: 'spin', model: { path: join(folder, 'weights') }, data: { policy: { path: join(folder, 'rows.jsonl') } } } }]);
});

test('a file with a base is a study; as JSON its answer is that of the service', async () => {
  const study = studySchema.parse({ id: 'study_1', name: 's', state: 'running', createdAt: '2026-01-01T00:00:00.000Z', runs: [run({ study: { id: 'study_1', label: 'spin', model: 'm', seed: 0 } })] });
  answers['POST /v1/studies'] = [{ status: 201, body: study }];
  const { code, stdout } = await launch(['-f', 'study.yaml', '--json', '--token', 'sgpo_other']);
  expect([code, JSON.parse(stdout)]).toEqual([0, study]);
  expect(asked).toMatchObject([{ token: 'Bearer sgpo_other', body: { base: { data: { policy: { path: join(folder, 'rows.jsonl') } } } } }]);
  expect(await launch(['-f', 'study.yaml', '--dry-run'])).toMatchObject({ code: 2, stderr: expect.stringContaining('an estimate is of one run') });
});

test('a dry run tells rows, tokens, cost, drops and prompts, and starts nothing', async () => {
  answers['POST /v1/runs:estimate'] = [{ body: estimateSchema.parse({
    steps: [{ key: 'generate-y-r1', kind: 'generate', title: 't', rows: 7, promptTokens: 100, completionTokens: 200, seconds: 90 }, { key: 'dpo-r1', kind: 'dpo', title: 't', rows: null, promptTokens: null, completionTokens: null, seconds: null }],
    teacher: { calls: 14, promptTokens: 30, completionTokens: 40, cost: null, reason: 'no price is known' }, worker: { seconds: 90, unknown: ['dpo'] },
    sets: [{ space: 'policy', format: 'prompt-response', rowsIn: 8, rowsOut: 7, dropped: { empty_prompt: 1 }, flagged: {}, drops: [{ file: 'rows.jsonl', row: 3, reason: 'empty_prompt', detail: 'prompt is blank\u001B[2J' }], dropsLeftOut: 0 }],
    prompts: [{ prompt: 'plain', step: 'generate-y-r1', rows: [{ id: 'abc', messages: [{ role: 'user', content: 'Why?\nTell me.' }] }], placeholders: [] }], assumptions: ['four characters are a token'],
  }) }];
  const { code, stdout } = await launch(['-f', 'run.yaml', '--dry-run']);
  expect(code).toBe(0);
  for (const part of ['generate-y-r1     7            100                200          1 min 30 s', '14 calls', 'unknown (no price is known)', 'no past rates of dpo', '7 of 8 rows', 'empty_prompt: nothing is asked', 'rows.jsonl row 3', '    Why?\n    Tell me.', 'four characters']) {
    expect(stdout).toContain(part);
  }
  expect(stdout).not.toContain('\u001B');
  expect(asked.map(({ path }) => path)).toEqual(['POST /v1/runs:estimate']);
});

test('a preview is asked for without a long request, followed on stderr, and shown', async () => {
  answers['POST /v1/runs:preview?rows=3&waitSeconds=0'] = [{ status: 202, body: previewSchema.parse({ run: run({ preview: true }), result: null }) }];
  answers['GET /v1/runs/run_1'] = [{ body: detail({ preview: true, state: 'running' }) }, { body: detail({ preview: true, state: 'succeeded' }) }];
  answers['GET /v1/runs/run_1/report'] = [{ type: 'text/markdown', body: '# Preview\n\nNo idea.\u001B[2J' }];
  const shown = await launch(['-f', 'run.yaml', '--preview', '3']);
  expect(shown).toMatchObject({ code: 0, stdout: expect.stringMatching(/^# Preview\n\nNo idea\./), stderr: expect.stringContaining('GET /v1/runs/run_1/report') });
  expect(shown.stdout).not.toContain('\u001B');
  answers['GET /v1/runs/run_1/report'] = [{ body: { rows: [], spent, notes: ['no training'] } }];
  const asJson = await launch(['-f', 'run.yaml', '--preview', '3', '--json']);
  expect([asJson.code, JSON.parse(asJson.stdout)]).toMatchObject([0, { run: { id: 'run_1' }, result: { notes: ['no training'] } }]);
});

test('a preview that failed or paused: exit code 1 and what to do', async () => {
  answers['POST /v1/runs:preview?rows=10&waitSeconds=0'] = [{ status: 202, body: { run: run({ preview: true }), result: null } }];
  answers['GET /v1/runs/run_1'] = [{ body: detail({ preview: true, state: 'failed', failure: { code: 'X.Y', message: 'it broke', remedy: 'mend it' } }) }];
  expect(await launch(['-f', 'run.yaml', '--preview'])).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('X.Y: it broke\nfix:  mend it') });
  answers['GET /v1/runs/run_1'] = [{ body: detail({ preview: true, state: 'paused', pauseReason: 'budget' }) }];
  const paused = await launch(['-f', 'run.yaml', '--preview', '--json']);
  expect([paused.code, JSON.parse(paused.stdout)]).toMatchObject([1, { run: { state: 'paused' }, result: null }]);
});

test('waiting ends with the run: 0 when it succeeded, 1 when it paused or failed, with what to do', async () => {
  answers['POST /v1/runs'] = [{ status: 201, body: run() }];
  answers['GET /v1/runs/run_1'] = [{ body: runDetailSchema.parse(detail({ state: 'paused', pauseReason: 'budget', budget: { tokens: 100, cost: 0.5 } })) }];
  expect(await launch(['-f', 'run.yaml', '--wait'])).toMatchObject({ code: 1, stdout: expect.stringMatching(/is paused \(budget\), its budget is 100 tokens and 0\.5 in the currency of the price: POST \/v1\/runs\/run_1\/resume .*with a larger one/) });
  answers['GET /v1/runs/run_1'] = [{ body: detail({ state: 'failed', failure: { code: 'X.Y', message: 'it broke', remedy: 'mend it' } }) }];
  const failed = await launch(['-f', 'run.yaml', '--wait', '--json']);
  expect([failed.code, (JSON.parse(failed.stdout) as { readonly state: string }).state]).toEqual([1, 'failed']);
  expect(failed.stderr).toContain('X.Y: it broke\nfix:  mend it');
});

test('waiting for a study tells what becomes of each run, and ends with the report', async () => {
  const study = (state: string): object => ({ id: 'study_1', name: 's', state: 'running', createdAt: '2026-01-01T00:00:00.000Z', runs: [run({ state, study: { id: 'study_1', label: 'SPIN', model: 'm', seed: 0 } })] });
  answers['POST /v1/studies'] = [{ status: 201, body: study('queued') }];
  answers['GET /v1/studies/study_1'] = [{ body: study('running') }, { body: study('succeeded') }];
  answers['GET /v1/studies/study_1/report'] = [{ type: 'text/markdown', body: '# Side by side' }];
  const { code, stdout } = await launch(['-f', 'study.yaml', '--wait']);
  expect(code).toBe(0);
  expect(stdout).toMatch(/Study study_1; .*\n {2}SPIN, seed 0 {2}run_1 {2}running\n {2}SPIN, seed 0 {2}run_1 {2}succeeded\n\n# Side by side/);
});

test('what the service refuses is told with field, value and fix', async () => {
  answers['POST /v1/runs'] = [problemDocument(400, 'SPEC.INVALID', [{ field: 'seed', value: -1, message: 'seed is too small', fix: 'Give at least 0' }]), problemDocument(401, 'AUTH.INVALID')];
  expect(await launch(['-f', 'run.yaml'])).toMatchObject({ code: 1, stdout: '', stderr: '\nsgpo: SPEC.INVALID: what is wrong\n  seed: seed is too small\n    found: -1\n    fix: Give at least 0\nfix:  what to do\n' });
  expect((await launch(['-f', 'run.yaml'])).stderr).toContain('set SGPO_TOKEN to a token of this service');
});

test('flags that ask for different things are refused, not ignored', async () => {
  for (const flags of [['--dry-run', '--preview'], ['--dry-run', '--wait'], ['--preview', '3', '--wait']]) {
    expect(await launch(['-f', 'run.yaml', ...flags])).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('cannot be used with option') });
  }
  expect(asked).toEqual([]);
});

test('no token, no file and no server: each says what to do', async () => {
  expect(await launch(['-f', 'run.yaml'], {})).toMatchObject({ code: 2, stderr: expect.stringContaining('No token is given') });
  expect(await launch(['-f', 'none.yaml'])).toMatchObject({ code: 2, stderr: expect.stringContaining('none.yaml does not exist') });
  server.close();
  server.closeAllConnections();
  expect(await launch(['-f', 'run.yaml'])).toMatchObject({ code: 1, stderr: expect.stringMatching(/cannot be reached \(ECONNREFUSED\)\nfix: {2}start the service \(npm start\)/) });
});
