// The main job, end to end, and what may go wrong on the way: whatever is killed or lost, the run ends with the same digests.
import { spawnSync } from 'node:child_process';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { RunDetail } from '@sgpo/contracts';
import { digestsOf, python, startFleet, type Fleet } from './fleet.ts';

let fleet: Fleet;
let baseline: Record<string, string | null>;

beforeAll(async () => { fleet = await startFleet(); });
afterAll(async () => { await fleet.stop(); });

const stepOf = (run: RunDetail, key: string) => run.steps.find((step) => step.key === key)!;
const isRunning = (run: RunDetail, key: string): boolean => stepOf(run, key).tasks.some((task) => task.state === 'running');
const fresh = (): ReturnType<Fleet['spec']> => fleet.spec({ execution: { shardRows: 8, cache: false } });

test('a run of SGPO and +Step 2 succeeds, and its report adds up', async () => {
  const { detail, report } = await fleet.run(fleet.spec());
  expect(detail.failure).toBeNull();
  expect(detail.state).toBe('succeeded');
  baseline = digestsOf(detail);

  expect(Object.values(baseline).every((digest) => /^[0-9a-f]{64}$/.test(digest ?? ''))).toBe(true);
  for (const step of report!.steps) {
    const dropped = Object.values(step.dropped).reduce((sum, rows) => sum + rows, 0);
    expect([step.key, step.rowsIn]).toEqual([step.key, step.rowsOut + dropped]);
  }
  const rows = (key: string): { rowsIn: number; rowsOut: number } => report!.steps.find((step) => step.key === key)!;
  expect(rows('ingest-improver')).toMatchObject({ rowsIn: 118, rowsOut: 12 });
  expect(rows('build-sft').rowsIn).toBe(24);
  expect(rows('pair-r1').rowsIn).toBe(12);
  expect(report!.rounds).toHaveLength(2);
  for (const round of report!.rounds) {
    expect(round.firstLoss).toBeCloseTo(Math.LN2, 3);
    expect(Math.abs(round.firstMargin!)).toBeLessThan(1e-3);
    expect(round.pairs).toBeGreaterThan(0);
  }
  expect(report!.heldOut.map(({ name, measures }) => [name, measures !== null])).toEqual([['pi0', true], ['improver', true], ['round1', true], ['round2', true]]);
  expect(report!.filter!.improved!.kept + report!.filter!.external!.kept).toBe(rows('filter').rowsOut);
  expect(report!.teacher!.calls).toBe(24);
  expect(report!.artifacts.every((artifact) => artifact.bytes > 0)).toBe(true);
});

test('the same again is answered from what is there', async () => {
  const { detail, report } = await fleet.run(fleet.spec());
  expect(digestsOf(detail)).toEqual(baseline);
  const worked = detail.steps.filter((step) => step.state !== 'cached').map((step) => step.kind);
  expect(new Set(worked)).toEqual(new Set(['import-model', 'ingest', 'report']));
  expect(report!.teacher).toMatchObject({ calls: 0, reused: 24, promptTokens: 0 });
});

test('without the cache and with other shards the digests are the same, and the teacher is not paid again', async () => {
  const { detail, report } = await fleet.run(fleet.spec({ execution: { shardRows: 4, cache: false } }));
  expect(stepOf(detail, 'generate-y0').tasks).toHaveLength(4); // one block, then two shards of 4, and their merge
  expect(digestsOf(detail)).toEqual(baseline);
  expect(report!.teacher).toMatchObject({ calls: 0, reused: 24 });
});

test('the orchestrator killed during generate and the worker killed during dpo change nothing', async () => {
  const killed: string[] = [];
  const kill = (part: string): void => {
    const pid = fleet.stack.pid(part);
    if (pid === null || killed.includes(part)) return;
    process.kill(pid, 'SIGKILL');
    killed.push(part);
  };
  const { detail } = await fleet.run(fresh(), (run) => {
    if (isRunning(run, 'generate-y-r1')) kill('orchestrator');
    if (stepOf(run, 'dpo-r1').tasks.some((task) => task.state === 'running' && task.unit === 'steps' && task.rowsDone > 0)) kill('worker');
  });
  expect(killed).toEqual(['orchestrator', 'worker']);
  expect(detail.state).toBe('succeeded');
  expect(stepOf(detail, 'dpo-r1').tasks[0]!.attempts).toBeGreaterThan(1);
  expect(digestsOf(detail)).toEqual(baseline);
});

test('Redis may lose everything in the middle of a run', async () => {
  const redis = new Redis(fleet.stack.redisUrl);
  let flushed = 0;
  const { detail } = await fleet.run(fresh(), async (run) => {
    if ((flushed === 0 && isRunning(run, 'generate-y0')) || (flushed === 1 && isRunning(run, 'train-improver')) || (flushed === 2 && isRunning(run, 'generate-yplus-r2'))) {
      await redis.flushall();
      flushed += 1;
    }
  });
  await redis.quit();
  expect(flushed).toBe(3);
  expect(detail.state).toBe('succeeded');
  expect(digestsOf(detail)).toEqual(baseline);
});

test('a run is canceled within seconds, and what was finished stays', async () => {
  const { id } = await fleet.client.createRun(fresh());
  for (;;) {
    const run = await fleet.client.getRun(id);
    if (isRunning(run, 'train-improver')) break;
    await new Promise((wake) => { setTimeout(wake, 200); });
  }
  await fleet.client.cancelRun(id);
  const began = Date.now();
  let run = await fleet.client.getRun(id);
  while (run.state !== 'canceled' && Date.now() - began < 30_000) {
    await new Promise((wake) => { setTimeout(wake, 200); });
    run = await fleet.client.getRun(id);
  }
  expect(run.state).toBe('canceled');
  expect(stepOf(run, 'generate-y0').state).toBe('succeeded');
  expect(run.steps.flatMap((step) => step.tasks).some((task) => ['running', 'ready', 'pending'].includes(task.state))).toBe(false);
});

test('events can be read again from any point, and as a stream', async () => {
  const { runs } = await fleet.client.listRuns({ limit: 10 });
  const first = runs.at(-1)!;
  const polled = [];
  for (let after = 0; ;) {
    const page = await fleet.client.events(first.id, { after, limit: 50 });
    if (page.events.length === 0) break;
    polled.push(...page.events);
    after = polled.at(-1)!.sequence;
  }
  expect(polled.map((event) => event.sequence)).toEqual(polled.map((_, index) => index + 1));
  const streamed = [];
  for await (const event of fleet.client.streamEvents(first.id, { after: 10 })) streamed.push(event);
  expect(streamed).toEqual(polled.slice(10));
});

test('from a trained model one finds everything it came from', async () => {
  const { runs } = await fleet.client.listRuns({ limit: 10 });
  const run = await fleet.client.getRun(runs.at(-1)!.id);
  const { links } = await fleet.client.lineage(run.id);
  const found = new Set<string>();
  const walk = (digest: string): void => {
    if (found.has(digest)) return;
    found.add(digest);
    for (const made of links.filter((link) => link.direction === 'out' && link.digest === digest)) {
      for (const used of links.filter((link) => link.direction === 'in' && link.attemptId === made.attemptId)) walk(used.digest);
    }
  };
  walk(stepOf(run, 'dpo-r2').output!);
  for (const key of ['import-model', 'ingest-improver', 'generate-y0', 'teach-improved', 'score-external', 'filter', 'build-sft', 'train-improver', 'dpo-r1', 'pair-r2']) {
    expect([key, found.has(stepOf(run, key).output!)]).toEqual([key, true]);
  }
});

test('the model is an ordinary folder', async () => {
  const { runs } = await fleet.client.listRuns({ limit: 10 });
  const run = await fleet.client.getRun(runs.at(-1)!.id);
  const report = await fleet.client.report(run.id) as { artifacts: { role: string; path: string }[] };
  const folder = report.artifacts.find((artifact) => artifact.role === 'dpo-r2')!.path;
  const answered = spawnSync(python, ['-c', `
import sys
from transformers import AutoModelForCausalLM, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1]); model = AutoModelForCausalLM.from_pretrained(sys.argv[1])
x = tokenizer.apply_chat_template([{"role": "user", "content": "What does a thermometer measure?"}], add_generation_prompt=True, return_tensors="pt", return_dict=True)
print(tokenizer.decode(model.generate(**x, max_new_tokens=16)[0][x["input_ids"].shape[1]:]))`, folder], { encoding: 'utf8' });
  expect(answered.stderr).not.toContain('Error');
  expect(answered.status).toBe(0);
  expect(answered.stdout.trim()).not.toBe('');
});
