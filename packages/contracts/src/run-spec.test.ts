import { presetNames, presets, SgpoError } from '@sgpo/core';
import type { Problem } from '@sgpo/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseRunSpec, runSpecSchema } from './run-spec.ts';

const minimal = () => ({
  preset: 'sgpo', model: { path: '/models/m' }, data: { improver: { path: '/data/i.jsonl' }, policy: { path: '/data/p.jsonl' } },
  teacher: { baseUrl: 'http://127.0.0.1:9/v1', model: 't' },
});

function refusal(body: unknown): { readonly code: string; readonly problems: readonly Problem[]; readonly text: string } {
  try { parseRunSpec(body); } catch (error) {
    if (error instanceof SgpoError) return { code: error.code, problems: error.problems, text: JSON.stringify(error.toFailure()) };
    throw error;
  }
  throw new Error('the spec was accepted');
}

describe('defaults', () => {
  it("are the paper's numbers", () => {
    const spec = parseRunSpec(minimal());
    expect(spec.improverTraining).toMatchObject({ epochs: 3, learningRate: 2e-5, batchSize: 128, microBatchSize: 8, maxLength: 2048, scheduler: 'cosine', warmupRatio: 0.1, dtype: 'bfloat16', saveDtype: 'bfloat16' });
    expect(spec.preference).toMatchObject({ epochs: 1, learningRate: 5e-7, beta: 0.01, batchSize: 128, loss: 'sigmoid', reference: 'round', labelSmoothing: 0 });
    expect(spec.sampling).toMatchObject({ temperature: 0.7, topP: 0.9, maxLength: 2048, blockRows: 32, dtype: 'bfloat16' });
    expect(spec.filter).toEqual({ factor: 1.5, minTokens: 3, includeEndToken: false });
    expect(spec.teacher).toMatchObject({ apiKey: null, temperature: 0.7, topP: 0.9, maxTokens: 1024, concurrency: 8, timeoutSeconds: 120, maxAttempts: 5, seed: null, price: null });
    expect(spec.execution).toEqual({ shardRows: 256, cache: true, checkpointSeconds: 600 });
    expect(spec).toMatchObject({ name: null, seed: 0, data: { improver: { limit: null }, heldOut: null } });
  });

  it('of the recipe are those of the preset', () => {
    for (const preset of presetNames) expect(parseRunSpec({ ...minimal(), preset }).recipe).toEqual(presets[preset].options);
  });

  it('of the recipe can be overridden one by one', () => {
    expect(parseRunSpec({ ...minimal(), recipe: { rounds: 3, referenceInTraining: undefined } }).recipe).toEqual({ ...presets.sgpo.options, rounds: 3 });
  });

  it('of the evaluation follow the sampling', () => {
    expect(parseRunSpec({ ...minimal(), sampling: { maxNewTokens: 77 } }).evaluation).toEqual({ temperature: 0.7, topP: 0.9, maxNewTokens: 77 });
  });

  it('fill a spec that is its own filled form', () => {
    for (const preset of presetNames) {
      const spec = parseRunSpec({ ...minimal(), preset, preference: { scheduler: 'constant' } });
      expect(runSpecSchema.parse(spec)).toEqual(spec);
      expect(parseRunSpec(spec)).toEqual(spec);
    }
  });
});

describe('shape', () => {
  const first = (body: unknown): Problem & { readonly code: string } => {
    const { code, problems } = refusal(body);
    expect(problems).toHaveLength(1);
    return { code, ...problems[0]! };
  };

  it.each([
    ['an unknown preset', { ...minimal(), preset: 'sgpo+step3' }, 'SPEC.UNKNOWN_PRESET', 'preset', /sgpo\+step2.*sgpo-no-ref/],
    ['no preset', { ...minimal(), preset: undefined }, 'SPEC.INVALID', 'preset', /sgpo-external/],
    ['a misspelt key', { ...minimal(), modle: {} }, 'SPEC.INVALID', 'modle', /Did you mean model\?/],
    ['a key in snake case', { ...minimal(), preference: { learning_rate: 1e-6 } }, 'SPEC.INVALID', 'preference.learning_rate', /Did you mean learningRate\?/],
    ['a key in the wrong place', { ...minimal(), beta: 0.1 }, 'SPEC.INVALID', 'beta', /key of preference/],
    ['a key nobody knows', { ...minimal(), filter: { quantum: 1 } }, 'SPEC.INVALID', 'filter.quantum', /Known keys: factor, minTokens, includeEndToken/],
    ['a string for a number', { ...minimal(), preference: { learningRate: '5e-7' } }, 'SPEC.INVALID', 'preference.learningRate', /without quotes/],
    ['a learning rate of 0', { ...minimal(), improverTraining: { learningRate: 0 } }, 'SPEC.INVALID', 'improverTraining.learningRate', /more than 0/],
    ['a negative learning rate', { ...minimal(), improverTraining: { learningRate: -1 } }, 'SPEC.INVALID', 'improverTraining.learningRate', /more than 0/],
    ['a batch of 0', { ...minimal(), improverTraining: { batchSize: 0 } }, 'SPEC.INVALID', 'improverTraining.batchSize', /at least 1/],
    ['half a batch', { ...minimal(), improverTraining: { batchSize: 1.5 } }, 'SPEC.INVALID', 'improverTraining.batchSize', /whole number/],
    ['NaN', { ...minimal(), sampling: { temperature: Number.NaN } }, 'SPEC.INVALID', 'sampling.temperature', /a number/],
    ['Infinity', { ...minimal(), sampling: { temperature: Number.POSITIVE_INFINITY } }, 'SPEC.INVALID', 'sampling.temperature', /a number/],
    ['a negative seed', { ...minimal(), seed: -1 }, 'SPEC.INVALID', 'seed', /at least 0/],
    ['a seed of 2^31', { ...minimal(), seed: 2 ** 31 }, 'SPEC.INVALID', 'seed', /at most 2147483647/],
    ['eleven rounds', { ...minimal(), recipe: { rounds: 11 } }, 'SPEC.INVALID', 'recipe.rounds', /at most 10/],
    ['101 epochs', { ...minimal(), preference: { epochs: 101 } }, 'SPEC.INVALID', 'preference.epochs', /at most 100/],
    ['a long path', { ...minimal(), model: { path: 'x'.repeat(5000) } }, 'SPEC.INVALID', 'model.path', /at most 4096 characters/],
    ['a NUL', { ...minimal(), name: 'a\0b' }, 'SPEC.INVALID', 'name', /Remove/],
    ['half a surrogate pair', { ...minimal(), name: 'a\ud800' }, 'SPEC.INVALID', 'name', /Remove/],
    ['no targets', { ...minimal(), recipe: { targets: [] } }, 'SPEC.INVALID', 'recipe.targets', /at least 1 entries/],
    ['a target twice', { ...minimal(), recipe: { targets: ['improved', 'improved'] } }, 'SPEC.INVALID', 'recipe.targets', /once/],
    ['an unknown target', { ...minimal(), recipe: { targets: ['improve'] } }, 'SPEC.INVALID', 'recipe.targets[0]', /Did you mean improved\?/],
    ['an unknown loss', { ...minimal(), preference: { loss: 'dpo' } }, 'SPEC.INVALID', 'preference.loss', /sigmoid, hinge, ipo/],
    ['a file as the teacher', { ...minimal(), teacher: { model: 't', baseUrl: 'file:///etc/passwd' } }, 'SPEC.INVALID', 'teacher.baseUrl', /https:\/\/host\/v1/],
    ['no address of the teacher', { ...minimal(), teacher: { model: 't' } }, 'SPEC.INVALID', 'teacher.baseUrl', /Give teacher.baseUrl/],
    ['a limit of 0', { ...minimal(), data: { ...minimal().data, policy: { path: 'p', limit: 0 } } }, 'SPEC.INVALID', 'data.policy.limit', /at least 1/],
    ['a list', [], 'SPEC.INVALID', 'spec', /an object/],
    ['nothing', undefined, 'SPEC.INVALID', 'spec', /an object/],
  ])('%s is refused', (_, body, code, field, fix) => {
    const problem = first(body);
    expect(problem).toMatchObject({ code, field });
    expect(problem.fix).toMatch(fix);
    expect(problem.message).not.toBe('');
  });

  it('all problems are named at once', () => {
    expect(refusal({ ...minimal(), seed: 'x', sampling: { topP: 2, tempreature: 1 } }).problems.map((p) => p.field).toSorted()).toEqual(['sampling.tempreature', 'sampling.topP', 'seed']);
  });

  it('a key that was written out is never repeated', () => {
    const key = 'sk-very-secret-0123456789';
    for (const body of [
      { ...minimal(), teacher: { ...minimal().teacher, apiKey: key } }, { ...minimal(), teacher: key }, { ...minimal(), teacher: { ...minimal().teacher, api_key: key } },
      { ...minimal(), apiKey: key }, { ...minimal(), teacher: { ...minimal().teacher, baseUrl: `https://user:${key}@host/v1` } },
      { ...minimal(), teacher: { ...minimal().teacher, baseUrl: `https://host/v1?key=${key}` } },
    ]) {
      const { code, text, problems } = refusal(body);
      expect(code).toBe('SPEC.INVALID');
      expect(text).not.toContain(key);
      expect(problems).toHaveLength(1);
    }
  });

  it('the key is named by its variable, and not by one of the service itself', () => {
    expect(parseRunSpec({ ...minimal(), teacher: { ...minimal().teacher, apiKey: 'env:OPENAI_API_KEY' } }).teacher.apiKey).toBe('env:OPENAI_API_KEY');
    expect(first({ ...minimal(), teacher: { ...minimal().teacher, apiKey: 'env:DATABASE_URL' } }).field).toBe('teacher.apiKey');
  });

  it('nothing but a spec or an SgpoError comes out', () => {
    fc.assert(fc.property(fc.oneof(fc.anything(), fc.record({ preset: fc.constant('sgpo'), data: fc.anything(), model: fc.anything(), teacher: fc.anything() })), (body) => {
      expect(refusal(body).problems.every((p) => p.field !== '' && p.fix !== '' && p.message !== '')).toBe(true);
    }), { numRuns: 300 });
  });
});

describe('rules over several fields', () => {
  it.each([
    ['micro-batch and batch', { improverTraining: { batchSize: 12 } }, 'improverTraining.microBatchSize', /to 6, or improverTraining.batchSize to 16/],
    ['answer and whole length', { sampling: { maxNewTokens: 512, maxLength: 512 } }, 'sampling.maxNewTokens', /less than 512/],
    ['held-out answer and whole length', { data: { ...minimal().data, heldOut: { path: 'h' } }, evaluation: { maxNewTokens: 4096 } }, 'evaluation.maxNewTokens', /less than 2048/],
    ['shard and block', { execution: { shardRows: 16 } }, 'execution.shardRows', /to 32 or more/],
    ['evaluation without a held-out set', { evaluation: { temperature: 0 } }, 'evaluation', /heldOut/],
    ['a preset that is another one', { recipe: { chosen: 'reference' } }, 'recipe', /preset to sgpo-offpolicy/],
    ['an improver nobody asks', { preset: 'sgpo-separate', recipe: { chosen: 'reference' } }, 'recipe.chosen', /refined/],
    ['a reference in a prompt nobody fills', { preset: 'sgpo-offpolicy', recipe: { referenceInRefining: false } }, 'recipe.referenceInRefining', /Remove/],
    ['warm-up and scheduler', { preference: { scheduler: 'constant', warmupRatio: 0.2 } }, 'preference.warmupRatio', /constant_with_warmup/],
    ['smoothing and loss', { preference: { loss: 'ipo', labelSmoothing: 0.1 } }, 'preference.labelSmoothing', /sigmoid/],
    ['one file for both sets', { data: { improver: { path: 'a' }, policy: { path: 'a', limit: 5 } } }, 'data.policy.path', /another file/],
  ])('%s', (_, change, field, fix) => {
    const { code, problems } = refusal({ ...minimal(), ...change });
    expect(code).toBe('SPEC.CONFLICT');
    expect(problems.map((p) => p.field)).toEqual([field]);
    expect(problems[0]!.fix).toMatch(fix);
  });

  it('let the same file serve both sets when rows are left for the policy', () => {
    expect(parseRunSpec({ ...minimal(), data: { improver: { path: 'a', limit: 5 }, policy: { path: 'a', limit: 50 } } }).data.policy.limit).toBe(50);
  });

  it('let a default that does nothing pass', () => {
    expect(parseRunSpec({ ...minimal(), preference: { scheduler: 'constant' } }).preference.warmupRatio).toBe(0.1);
  });
});
