import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseRunSpec, type RunDetail } from '@sgpo/contracts';
import { presetNames, type RunSpec } from '@sgpo/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createPainter } from './painter.ts';
import { formatSeconds, formatStep, measureStep, type Sightings, type StepProgress } from './progress.ts';
import { chooseLaunch, readRecord, writeRecord, type DemoRecord } from './record.ts';
import { readSpecFile, type SpecDocument } from '../spec-file.ts';
import { demoSpecFile, fillSpec, hashSpec } from './spec.ts';

let home: string;
beforeEach(() => { home = mkdtempSync(join(tmpdir(), 'sgpo-demo-')); });
afterEach(() => { rmSync(home, { recursive: true, force: true }); });

describe('the record', () => {
  const unfinished: DemoRecord = { specHash: 'a', idempotencyKey: 'key-1', runId: 'run_1', finished: false, tokenId: null };
  const newKey = (): string => 'key-2';

  test('an interrupted run of the same spec is gone on with', () => {
    expect(chooseLaunch(unfinished, 'a', newKey)).toEqual({ idempotencyKey: 'key-1', resumes: true, cancelFirst: null });
    // Also when the answer to its creation never arrived.
    expect(chooseLaunch({ ...unfinished, runId: null }, 'a', newKey).idempotencyKey).toBe('key-1');
  });
  test('a finished one is begun anew', () => {
    expect(chooseLaunch({ ...unfinished, finished: true }, 'a', newKey)).toEqual({ idempotencyKey: 'key-2', resumes: false, cancelFirst: null });
    expect(chooseLaunch(null, 'a', newKey).idempotencyKey).toBe('key-2');
  });
  test('an unfinished one of another spec is canceled first', () => {
    expect(chooseLaunch(unfinished, 'b', newKey)).toEqual({ idempotencyKey: 'key-2', resumes: false, cancelFirst: 'run_1' });
  });
  test('is read back as it was written; a broken or foreign file counts as none', () => {
    expect(readRecord(home)).toBeNull();
    writeRecord(home, unfinished);
    expect(readRecord(home)).toEqual(unfinished);
    for (const broken of ['{', '[]', '{"specHash":1}']) {
      writeFileSync(join(home, 'demo.json'), broken);
      expect(readRecord(home)).toBeNull();
    }
  });
});

describe('the spec', () => {
  const parts = { modelPath: '/models/small', teacher: { baseUrl: 'http://127.0.0.1:41000/v1', model: 'small' }, userFolder: '/nowhere' };
  const template = readSpecFile(demoSpecFile);

  test('the demo is filled in and passes the checks of the API', () => {
    const spec = parseRunSpec(fillSpec(template, template, parts, { cache: false, seed: 11, preset: 'sgpo', shardRows: 16 }));
    expect(spec).toMatchObject({ seed: 11, preset: 'sgpo', model: { path: '/models/small' }, teacher: parts.teacher, execution: { cache: false, shardRows: 16 } });
    expect(spec.data.improver?.path).toMatch(/^\/.*examples\/data\/improver\.jsonl$/);
  });
  test('a copy of the demo keeps its changes and gets model and teacher; names of its own stay', () => {
    const file = join(home, 'mine.yaml');
    writeFileSync(file, 'preset: sgpo\ndata: {improver: {path: rows.jsonl}, policy: {path: rows.jsonl}}\nteacher: {maxTokens: 9}\n');
    writeFileSync(join(home, 'rows.jsonl'), '');
    const filled = fillSpec(readSpecFile(file), template, { ...parts, userFolder: home }, { cache: true });
    expect(filled).toMatchObject({ preset: 'sgpo', model: { path: '/models/small' }, teacher: { maxTokens: 9, ...parts.teacher }, data: { improver: { path: join(home, 'rows.jsonl') } } });
    writeFileSync(file, 'model: {path: /mine}\nteacher: {baseUrl: "https://host/v1", model: big}\n');
    expect(fillSpec(readSpecFile(file), template, parts, { cache: true })).toMatchObject({ model: { path: '/mine' }, teacher: { baseUrl: 'https://host/v1', model: 'big' } });
  });
  test('another preset gets the sets of the demo that it needs, and not those it does not read', () => {
    const of = (preset: string): RunSpec => parseRunSpec(fillSpec(template, template, parts, { cache: true, preset }));
    const sets = (preset: string): string[] => Object.entries(of(preset).data).flatMap(([set, source]) => (typeof source === 'object' && source !== null ? [`${set} ${source.path!.split('/').at(-1)!}`] : []));
    expect(sets('sft')).toEqual(['sft conversations.jsonl', 'heldOut heldout.jsonl']);
    expect(sets('dpo')).toEqual(['preferences policy.jsonl', 'heldOut heldout.jsonl']);
    expect(sets('sgpo')).toEqual(['improver improver.jsonl', 'policy policy.jsonl', 'heldOut heldout.jsonl']);
    expect([of('spin').teacher, of('sgpo').teacher?.model]).toEqual([null, 'small']);
    for (const preset of presetNames) expect(of(preset)).toMatchObject({ preset, seed: 7, model: { path: '/models/small' } });
  });
  test('a teacher is filled in where the recipe asks one, and weights of an earlier run are kept', () => {
    const fill = (document: SpecDocument): object => fillSpec(document, template, parts, { cache: true });
    expect(fill({ preset: 'sgpo' })).toMatchObject({ teacher: parts.teacher });
    expect(fill({ preset: 'spin' })).not.toHaveProperty('teacher');
    expect(fill({ preset: 'sgpo', recipe: { improver: 'kept' }, model: { from: { run: 'run_1' } } })).toEqual({ preset: 'sgpo', recipe: { improver: 'kept' }, model: { from: { run: 'run_1' } }, execution: {} });
    expect(fill({ preset: 'sgpo', teacher: { source: 'policy' } })).toMatchObject({ teacher: { source: 'policy' } });
  });
  test('equal specs have equal hashes, another seed another', () => {
    const fill = (seed: number): string => hashSpec(fillSpec(template, template, parts, { cache: true, seed }));
    expect(fill(1)).toBe(fill(1));
    expect(fill(1)).not.toBe(fill(2));
  });
  test('a file that is missing or no mapping is told', () => {
    expect(() => readSpecFile('/no/spec.yaml')).toThrow('/no/spec.yaml does not exist');
    writeFileSync(join(home, 'a.yaml'), 'a: [1');
    expect(() => readSpecFile(join(home, 'a.yaml'))).toThrow('is not YAML');
    writeFileSync(join(home, 'a.yaml'), '- 1');
    expect(() => readSpecFile(join(home, 'a.yaml'))).toThrow('a.yaml');
  });
});

describe('the progress', () => {
  type Step = RunDetail['steps'][number];
  const began = '2026-01-01T00:00:00.000Z';
  const at = (seconds: number): number => Date.parse(began) + seconds * 1000;
  const step = (change: Partial<Step>, tasks: readonly Partial<Step['tasks'][number]>[]): Step => ({
    key: 'generate', state: 'running', startedAt: began, endedAt: null, ...change,
    tasks: tasks.map((task) => ({ role: 'shard', state: 'running', rowsDone: 0, rowsTotal: 16, unit: 'rows', startedAt: began, ...task })),
  } as unknown as Step);

  test('rows of shards are summed, merges are not, rate and time left are measured from the first sight', () => {
    const sightings: Sightings = new Map();
    const running = (done: number): Step => step({}, [{ state: 'succeeded', rowsDone: 3 }, { rowsDone: done }, { role: 'merge', state: 'pending' }]);
    expect(measureStep(running(0), at(100), sightings, null)).toMatchObject({ done: 16, total: 32, rate: null, secondsLeft: null });
    expect(measureStep(running(8), at(104), sightings, null)).toMatchObject({ done: 24, total: 32, rate: 2, secondsLeft: 4 });
  });
  test('ended steps: mean rate, no time left; cached ones have no time at all', () => {
    expect(measureStep(step({ state: 'succeeded', endedAt: '2026-01-01T00:00:08.000Z' }, [{ state: 'succeeded' }]), at(99), new Map(), 0.5)).toMatchObject({ label: 'done', rate: 2, seconds: 8, secondsLeft: null, loss: 0.5 });
    expect(measureStep(step({ state: 'cached', endedAt: began }, [{ state: 'cached' }]), at(9), new Map(), null)).toMatchObject({ label: 'cached', seconds: null, rate: null, done: 16 });
  });
  test('a step whose tasks only exist waits; what is done in one go shows the rows it gave', () => {
    const sightings: Sightings = new Map();
    expect(measureStep(step({}, [{ state: 'ready' }, { state: 'pending' }]), at(50), sightings, null)).toMatchObject({ label: 'waiting', seconds: null, rate: null });
    expect(sightings.size).toBe(0);
    const ingested = measureStep(step({ state: 'succeeded', endedAt: began, rowsOut: 30 }, [{ role: 'whole', state: 'succeeded', rowsTotal: 1 }]), at(1), sightings, null);
    expect(ingested).toMatchObject({ done: 0, total: 0, rate: null });
    expect(formatStep(ingested, 8)).toContain('done      30 rows');
  });
  test('lines', () => {
    const progress: StepProgress = { key: 'dpo-r1', label: 'running', done: 4, total: 8, unit: 'steps', rowsOut: null, seconds: 20, rate: 0.2, secondsLeft: 20, loss: 0.693147 };
    expect(formatStep(progress, 8)).toBe('dpo-r1    ████████░░░░░░░░  running   4/8 steps       0.20/s    20 s left  loss 0.6931');
    expect(formatStep({ ...progress, label: 'waiting', done: 0, total: 0, seconds: null, rate: null, secondsLeft: null, loss: null }, 6)).toBe('dpo-r1  ░░░░░░░░░░░░░░░░  waiting');
    expect([formatSeconds(59.4), formatSeconds(125)]).toEqual(['59 s', '2 min 05 s']);
  });

  const steps = (count: number, doneCount: number): StepProgress[] => Array.from({ length: count }, (_, index) => ({
    key: `step-${String(index)}`, label: index < doneCount ? 'done' : index === doneCount ? 'running' : 'waiting', done: 0, total: 10, unit: 'rows', rowsOut: null, seconds: 1, rate: null, secondsLeft: null, loss: null,
  }));

  test('a terminal is redrawn in place and never taller than its screen', () => {
    let written = '';
    const painter = createPainter({ isTTY: true, columns: 60, rows: 12, write: (text) => { written += text; } });
    painter.paint(steps(30, 12));
    const first = written.split('\n').length - 1;
    expect(first).toBeLessThanOrEqual(10);
    expect(written).toContain('… 12 steps done');
    expect(written).toContain('step-12');
    expect(written).toContain('more steps');
    written = '';
    painter.paint(steps(30, 30));
    expect(written.startsWith(`\u001B[${String(first)}A\r\u001B[0J`)).toBe(true);
    expect(written.split('\n').every((line) => line.length < 80)).toBe(true);
  });
  test('a pipe gets one line a change and no escape codes', () => {
    const lines: string[] = [];
    const painter = createPainter({ write: (text) => { lines.push(text); } });
    const running = (done: number): StepProgress[] => steps(3, 1).map((progress) => (progress.label === 'running' ? { ...progress, done } : progress));
    painter.paint(running(0));
    painter.paint(running(0));
    expect(lines).toHaveLength(2);
    painter.paint(running(5));
    painter.say('a word');
    expect(lines).toHaveLength(4);
    expect(lines.join('')).not.toContain('\u001B');
  });
});
