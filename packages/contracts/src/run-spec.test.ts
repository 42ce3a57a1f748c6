import { flaws, presetNames, presetOf, presets, SgpoError } from '@sgpo/core';
import type { Problem } from '@sgpo/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { placeholderSpec } from './recipe-list.ts';
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
    expect(spec.preference).toMatchObject({ epochs: 1, learningRate: 5e-7, beta: 0.01, batchSize: 128, trainer: 'dpo', loss: ['sigmoid'], lossWeights: null, reference: 'round', labelSmoothing: 0, ldAlpha: null, simpoGamma: null });
    expect(spec.sftTraining).toMatchObject({ epochs: 1, learningRate: 2e-5, batchSize: 128, maxLength: 2048, chatTemplate: 'auto', lora: null, publish: 'last', validation: null });
    expect(spec.rules).toEqual({ unfinished: 'drop', targetFlaws: flaws, chosenFlaws: flaws, copyOfDraft: 'drop', replay: 0 });
    expect(spec.sampling).toMatchObject({ temperature: 0.7, topP: 0.9, maxLength: 2048, blockRows: 32, dtype: 'bfloat16' });
    expect(spec.filter).toEqual({ factor: 1.5, minTokens: 3, includeEndToken: false });
    expect(spec.teacher).toMatchObject({ apiKey: null, temperature: 0.7, topP: 0.9, maxTokens: 1024, concurrency: 8, timeoutSeconds: 120, maxAttempts: 5, seed: null, price: null, source: 'endpoint', mode: 'requests', limits: { requestsPerMinute: null, tokensPerMinute: null }, budget: { tokens: null, cost: null } });
    expect(spec.execution).toEqual({ shardRows: 256, cache: true, checkpointSeconds: 600 });
    expect(spec).toMatchObject({ name: null, seed: 0, data: { sft: null, improver: { limit: null, format: 'auto', malformed: 'drop', dropFlagged: [], sha256: null }, preferences: null, heldOut: null, heldOutOverlap: 'drop', scores: 'check' }, preview: null });
  });

  it('of the recipe are those of the preset', () => {
    for (const preset of presetNames) expect(parseRunSpec(placeholderSpec(preset)).recipe).toEqual(presets[preset].options);
  });

  it("of SPIN's beta is the preset's, unless the spec gives one", () => {
    const beta = (preference: object, preset: 'spin' | 'sgpo') => parseRunSpec({ ...placeholderSpec(preset), preference }).preference.beta;
    expect([beta({}, 'spin'), beta({ beta: 0.02 }, 'spin'), beta({}, 'sgpo')]).toEqual([0.1, 0.02, 0.01]);
    expect(presetOf('spin').preference?.beta).toBe(0.1);
  });

  it('of a loss may be a name instead of a list', () => {
    expect(parseRunSpec({ ...minimal(), preference: { loss: 'ipo' } }).preference.loss).toEqual(['ipo']);
  });

  it('of the recipe can be overridden one by one', () => {
    expect(parseRunSpec({ ...minimal(), recipe: { rounds: 3, referenceInTraining: undefined } }).recipe).toEqual({ ...presets.sgpo.options, rounds: 3 });
  });

  it('of the evaluation follow the sampling', () => {
    expect(parseRunSpec({ ...minimal(), sampling: { maxNewTokens: 77 } }).evaluation).toEqual({ temperature: 0.7, topP: 0.9, maxNewTokens: 77 });
  });

  it('fill a spec that is its own filled form', () => {
    const rich = [
      { data: { ...minimal().data, sft: { path: '/s', format: 'messages', columns: { messages: 'turns' }, dropFlagged: ['mojibake'] }, heldOut: { hub: { repo: 'o/n' } } } },
      { preference: { trainer: 'cpo', loss: 'simpo', simpoGamma: 0.5, cpoAlpha: 0 } }, { preference: { trainer: 'orpo', loss: 'orpo', lora: {} } }, { preference: { trainer: 'kto', loss: ['kto'], desirableWeight: 1.5 } },
      { preference: { loss: ['robust', 'sft'], lossWeights: [1, 0.2], labelSmoothing: 0.1, ldAlpha: 0.5, publish: 'both', validation: { measure: 'rewards/accuracies' } } },
      { model: { from: { run: 'run_1' } }, recipe: { improver: 'kept', rounds: 2 }, teacher: null, data: { policy: { dataset: 'p' } } },
      { teacher: { source: 'policy' } }, { teacher: { source: 'fleet', weights: { path: '/t' } } },
      { teacher: { ...minimal().teacher, mode: 'batch', price: { promptPerMillion: 1, completionPerMillion: 2 }, budget: { cost: 5, tokens: 1000 }, limits: { requestsPerMinute: 60 } } },
      { filter: { factor: null }, rules: { unfinished: 'keep', targetFlaws: [], replay: 0.25 }, preview: { rows: 4 } },
    ];
    const bodies = [...presetNames.map((preset) => ({ ...placeholderSpec(preset), preference: { scheduler: 'constant' } })), ...rich.map((change) => ({ ...minimal(), ...change }))];
    for (const body of bodies) {
      const spec = parseRunSpec(body);
      expect(runSpecSchema.parse(spec)).toEqual(spec);
      expect(parseRunSpec(spec)).toEqual(spec);
      expect(parseRunSpec(JSON.parse(JSON.stringify(spec)))).toEqual(spec);
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
    ['21 rounds', { ...minimal(), recipe: { rounds: 21 } }, 'SPEC.INVALID', 'recipe.rounds', /at most 20/],
    ['101 epochs', { ...minimal(), preference: { epochs: 101 } }, 'SPEC.INVALID', 'preference.epochs', /at most 100/],
    ['a long path', { ...minimal(), model: { path: 'x'.repeat(5000) } }, 'SPEC.INVALID', 'model.path', /at most 4096 characters/],
    ['a NUL', { ...minimal(), name: 'a\0b' }, 'SPEC.INVALID', 'name', /Remove/],
    ['half a surrogate pair', { ...minimal(), name: 'a\ud800' }, 'SPEC.INVALID', 'name', /Remove/],
    ['no losses', { ...minimal(), preference: { loss: [] } }, 'SPEC.INVALID', 'preference.loss', /at least 1/],
    ['a flaw nobody looks for', { ...minimal(), rules: { targetFlaws: ['ugly'] } }, 'SPEC.INVALID', 'rules.targetFlaws[0]', /Give one of/],
    ['a replay share of 0.6', { ...minimal(), rules: { replay: 0.6 } }, 'SPEC.INVALID', 'rules.replay', /at most 0.5/],
    ['a hub repository as a path', { ...minimal(), data: { ...minimal().data, policy: { hub: { repo: '../etc/passwd' } } } }, 'SPEC.INVALID', 'data.policy.hub.repo', /owner\/name/],
    ['a hub token that is written out', { ...minimal(), data: { ...minimal().data, policy: { hub: { repo: 'o/n', token: 'hf_secret' } } } }, 'SPEC.INVALID', 'data.policy.hub.token', /env:NAME/],
    ['a digest that is none', { ...minimal(), model: { artifact: 'abc' } }, 'SPEC.INVALID', 'model.artifact', /64 lower-case/],
    ['an unknown chat template', { ...minimal(), sftTraining: { chatTemplate: 'chatlm' } }, 'SPEC.INVALID', 'sftTraining.chatTemplate', /Did you mean chatml/],
    ['a warm-up that is all', { ...minimal(), preference: { warmupRatio: 1 } }, 'SPEC.INVALID', 'preference.warmupRatio', /less than 1/],
    ['a module that is a pattern', { ...minimal(), preference: { lora: { targetModules: ['q.*|k'] } } }, 'SPEC.INVALID', 'preference.lora.targetModules[0]', /q_proj/],
    ['a module twice', { ...minimal(), preference: { lora: { targetModules: ['q_proj', 'q_proj'] } } }, 'SPEC.INVALID', 'preference.lora.targetModules', /once/],
    ['a LoRA rank of 0', { ...minimal(), preference: { lora: { rank: 0 } } }, 'SPEC.INVALID', 'preference.lora.rank', /at least 1/],
    ['a preview of 300 rows', { ...minimal(), preview: { rows: 300 } }, 'SPEC.INVALID', 'preview.rows', /at most 256/],
    ['a target twice', { ...minimal(), recipe: { targets: ['improved', 'improved'] } }, 'SPEC.INVALID', 'recipe.targets', /once/],
    ['an unknown target', { ...minimal(), recipe: { targets: ['improve'] } }, 'SPEC.INVALID', 'recipe.targets[0]', /Did you mean improved\?/],
    ['an unknown loss', { ...minimal(), preference: { loss: 'dpo' } }, 'SPEC.INVALID', 'preference.loss', /sigmoid, hinge, ipo/],
    ['an unknown loss in a list', { ...minimal(), preference: { loss: ['sigmoid', 'hinje'] } }, 'SPEC.INVALID', 'preference.loss[1]', /Did you mean hinge/],
    ['a file as the teacher', { ...minimal(), teacher: { model: 't', baseUrl: 'file:///etc/passwd' } }, 'SPEC.INVALID', 'teacher.baseUrl', /https:\/\/host\/v1/],
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
      { ...minimal(), data: { ...minimal().data, policy: { hub: { repo: 'o/n', token: key } } } },
    ]) {
      const { code, text, problems } = refusal(body);
      expect(code).toBe('SPEC.INVALID');
      expect(text).not.toContain(key);
      expect(problems).toHaveLength(1);
    }
  });

  it('the key is named by its variable, and not by one of the service itself', () => {
    expect(parseRunSpec({ ...minimal(), teacher: { ...minimal().teacher, apiKey: 'env:OPENAI_API_KEY' } }).teacher?.apiKey).toBe('env:OPENAI_API_KEY');
    for (const name of ['DATABASE_URL', 'REDIS_URL', 'SGPO_TOKEN', 'AWS_SECRET_ACCESS_KEY']) {
      expect(first({ ...minimal(), teacher: { ...minimal().teacher, apiKey: `env:${name}` } }).field).toBe('teacher.apiKey');
    }
  });

  it('nothing but a spec or an SgpoError comes out', () => {
    fc.assert(fc.property(fc.oneof(fc.anything(), fc.record({ preset: fc.constant('sgpo'), data: fc.anything(), model: fc.anything(), teacher: fc.anything() })), (body) => {
      expect(refusal(body).problems.every((p) => p.field !== '' && p.fix !== '' && p.message !== '')).toBe(true);
    }), { numRuns: 300 });
  });
});

const endpoint = minimal().teacher;
const dPol = { policy: { path: 'p' } };
const pairs = { preferences: { path: 'd' } };
/** Takes the sets and the teacher of the minimal spec away. */
const bare = { data: {}, teacher: null };

describe('rules over several fields', () => {
  it.each([
    ['micro-batch and batch', { improverTraining: { batchSize: 12 } }, 'improverTraining.microBatchSize', /to 6, or improverTraining.batchSize to 16/],
    ['answer and whole length', { sampling: { maxNewTokens: 512, maxLength: 512 } }, 'sampling.maxNewTokens', /less than 512/],
    ['held-out answer and whole length', { data: { ...minimal().data, heldOut: { path: 'h' } }, evaluation: { maxNewTokens: 4096 } }, 'evaluation.maxNewTokens', /less than 2048/],
    ['shard and block', { execution: { shardRows: 16 } }, 'execution.shardRows', /to 32 or more/],
    ['evaluation without a held-out set', { evaluation: { temperature: 0 } }, 'evaluation', /heldOut/],
    ['warm-up and scheduler', { preference: { scheduler: 'constant', warmupRatio: 0.2 } }, 'preference.warmupRatio', /constant_with_warmup/],
    ['the best weights by no measure', { improverTraining: { publish: 'best' } }, 'improverTraining.publish', /improverTraining.validation/],
    ['a preview of Step 0', { preset: 'sft', ...bare, data: { sft: { path: 's' } }, preview: {} }, 'preview', /runs:estimate/],
    ['a measure of pairs where there are none', { sftTraining: { validation: { measure: 'rewards/margins' } } }, 'sftTraining.validation.measure', /to loss/],
  ])('of the run: %s', conflict);

  it.each([
    ['a preset that is another one', { recipe: { chosen: 'reference' } }, 'recipe', /preset to sgpo-offpolicy/],
    ['a preset that is another one, by rounds', { recipe: { rounds: 2 } }, 'recipe', /preset to sgpo\+step2/],
    ['an improver nobody asks', { preset: 'sgpo-separate', recipe: { chosen: 'reference' } }, 'recipe.chosen', /refined/],
    ['an improver that is kept and not asked', { ...bare, data: dPol, recipe: { improver: 'kept', chosen: 'reference' } }, 'recipe.improver', /none/],
    ['a refined side and no improver', { ...bare, data: dPol, recipe: { improver: 'none' } }, 'recipe.improver', /shared or separate/],
    ['a reference in a prompt nobody fills', { preset: 'sgpo-offpolicy', recipe: { referenceInRefining: false } }, 'recipe.referenceInRefining', /Remove/],
    ['a reference in training without training', { preset: 'spin', ...bare, data: dPol, recipe: { referenceInTraining: true } }, 'recipe.referenceInTraining', /Remove/],
    ['targets without training', { preset: 'spin', ...bare, data: dPol, recipe: { targets: ['external'] } }, 'recipe.targets', /Remove/],
    ['training without targets', { recipe: { targets: [] } }, 'recipe.targets', /improved, external or both/],
    ['half given pairs', { preset: 'dpo', ...bare, data: pairs, recipe: { rejected: 'sampled' } }, 'recipe.rejected', /both to given/],
    ['given pairs and an improver', { data: { ...minimal().data, ...pairs }, recipe: { chosen: 'given', rejected: 'given' } }, 'recipe.improver', /to none/],
    ['nothing to train', { preset: 'sft', ...bare }, 'data.sft', /conversations/],
  ])('of the recipe: %s', (_, change, field, fix) => {
    // A recipe that is wrong often asks for other sets, too: the fault of the recipe comes first.
    const { code, problems } = refusal({ ...minimal(), ...change });
    expect([code, problems[0]!.field]).toEqual(['SPEC.CONFLICT', field]);
    expect(problems[0]!.fix).toMatch(fix);
  });

  it.each([
    ['no weights', { model: {} }, 'model', /model.path .*model.artifact .*model.from/],
    ['weights from two places', { model: { path: 'm', artifact: 'a'.repeat(64) } }, 'model.path', /Give model.path/],
    ['a folder and a run', { model: { path: 'm', from: { run: 'r' } } }, 'model.path', /Give model.path/],
    ['a set that is missing', { data: { policy: { path: 'p' } } }, 'data.improver', /Give data.improver/],
    ['pairs that are missing', { preset: 'dpo', ...bare }, 'data.preferences', /Give data.preferences/],
    ['a set that nobody reads', { data: { ...minimal().data, ...pairs } }, 'data.preferences', /Remove/],
    ['rows from no place', { data: { ...minimal().data, policy: { limit: 3 } } }, 'data.policy', /data.policy.path, data.policy.hub and data.policy.dataset/],
    ['rows from two places', { data: { ...minimal().data, heldOut: { path: 'h', dataset: 'h' } } }, 'data.heldOut', /Give one of/],
    ['a format of a registered set', { data: { ...minimal().data, policy: { dataset: 'd', format: 'messages' } } }, 'data.policy.format', /register the rows again/],
    ['one file for both sets', { data: { improver: { path: 'a' }, policy: { path: 'a', limit: 5 } } }, 'data.policy', /another file/],
    ['the held-out file as the policy set', { data: { ...minimal().data, heldOut: minimal().data.policy } }, 'data.policy', /another file/],
    ['the held-out file as given pairs', { preset: 'dpo', ...bare, data: { ...pairs, heldOut: pairs.preferences } }, 'data.preferences', /another file/],
    ['one repository for both sets', { data: { improver: { hub: { repo: 'o/n' } }, policy: { hub: { repo: 'o/n' } } } }, 'data.policy', /another file/],
  ])('of the sources: %s', conflict);

  it.each([
    ['none where one is asked', { teacher: null }, 'teacher', /teacher.source: policy/],
    ['one where none is asked', { preset: 'spin', data: dPol }, 'teacher', /Remove/],
    ['no address', { teacher: { model: 't' } }, 'teacher.baseUrl', /address of an OpenAI-compatible API/],
    ['no model', { teacher: { baseUrl: 'https://h/v1' } }, 'teacher.model', /name of the model/],
    ['an address of the fleet', { teacher: { source: 'fleet', weights: { path: 't' }, baseUrl: 'https://h/v1' } }, 'teacher.baseUrl', /source to endpoint/],
    ['a fleet without weights', { teacher: { source: 'fleet' } }, 'teacher.weights', /teacher.weights/],
    ['a fleet with weights from two places', { teacher: { source: 'fleet', weights: { path: 't', from: { run: 'r' } } } }, 'teacher.weights.path', /Give teacher.weights.path/],
    ['weights of an endpoint', { teacher: { ...endpoint, weights: { path: 't' } } }, 'teacher.weights', /source to fleet/],
    ['batches of the policy', { teacher: { source: 'policy', mode: 'batch' } }, 'teacher.mode', /endpoint/],
    ['a budget of the policy', { teacher: { source: 'policy', budget: { tokens: 5 } } }, 'teacher.budget', /endpoint/],
    ['a key of the fleet', { teacher: { source: 'fleet', weights: { path: 't' }, apiKey: 'env:KEY' } }, 'teacher.apiKey', /Remove/],
    ['limits of the policy', { teacher: { source: 'policy', limits: { requestsPerMinute: 5 } } }, 'teacher.limits', /endpoint/],
    ['answers of the fleet that fill everything', { teacher: { source: 'fleet', weights: { path: 't' } }, sampling: { maxLength: 1024 } }, 'teacher.maxTokens', /less than 1024/],
    ['a policy that repeats its drafts', { teacher: { source: 'policy', temperature: 0 }, sampling: { temperature: 0 } }, 'teacher.temperature', /above 0/],
    ['a budget in currency without a price', { teacher: { ...endpoint, budget: { cost: 5 } } }, 'teacher.budget.cost', /teacher.price/],
    ["a price of one provider for another's model", { teacher: { baseUrl: 'https://elsewhere/v1', model: 'gpt-4o', budget: { cost: 5 } } }, 'teacher.budget.cost', /teacher.price/],
  ])('of the teacher: %s', conflict);

  it.each([
    ['a loss of another trainer', { loss: 'simpo' }, 'loss', /trainer to cpo/],
    ['a trainer without that loss', { trainer: 'orpo' }, 'loss', /trainer to dpo, or use one of orpo/],
    ['a loss twice', { loss: ['ipo', 'ipo'] }, 'loss', /once/],
    ['two losses of one that takes one', { trainer: 'cpo', loss: ['hinge', 'ipo'] }, 'loss', /trainer to dpo/],
    ['weights and losses', { loss: ['sigmoid', 'sft'], lossWeights: [1] }, 'lossWeights', /one weight a loss/],
    ['weights that are all 0', { lossWeights: [0] }, 'lossWeights', /above 0/],
    ['weights of one that takes one loss', { trainer: 'kto', loss: 'kto', lossWeights: [2] }, 'lossWeights', /trainer to dpo/],
    ['smoothing and loss', { loss: 'ipo', labelSmoothing: 0.1 }, 'labelSmoothing', /robust/],
    ['a margin and a loss without one', { simpoGamma: 0.5 }, 'simpoGamma', /cpo \(simpo\)/],
    ['a likelihood weight', { cpoAlpha: 1 }, 'cpoAlpha', /trainer cpo/],
    ['a weight of kto', { desirableWeight: 2 }, 'desirableWeight', /trainer kto/],
    ['a temperature of discopop', { discopopTau: 0.1 }, 'discopopTau', /dpo \(discopop\)/],
    ['length and a trainer that does not see it', { trainer: 'orpo', loss: 'orpo', ldAlpha: 0.5 }, 'ldAlpha', /trainer dpo/],
    ['a reference nobody compares with', { trainer: 'cpo', loss: 'simpo', reference: 'initial' }, 'reference', /trainer to dpo/],
    ['kto on single rows', { trainer: 'kto', loss: 'kto', microBatchSize: 1 }, 'microBatchSize', /2 or more/],
    ['answers longer than a training row', { maxLength: 256 }, 'maxLength', /Raise preference.maxLength/],
  ])('of the preference: %s', (name, preference, field, fix) => { conflict(name, { preference }, `preference.${field}`, fix); });

  function conflict(_: string, change: object, field: string, fix: RegExp): void {
    const { code, problems } = refusal({ ...minimal(), ...change });
    expect(code).toBe('SPEC.CONFLICT');
    expect(problems.map((p) => p.field)).toEqual([field]);
    expect(problems[0]!.fix).toMatch(fix);
  }

  it('let the same file serve both sets when rows are left for the policy', () => {
    expect(parseRunSpec({ ...minimal(), data: { improver: { path: 'a', limit: 5 }, policy: { path: 'a', limit: 50 } } }).data.policy?.limit).toBe(50);
  });

  it('let the held-out file serve a set when rows are left, when prompts may be shared, or when its rows are read otherwise', () => {
    for (const data of [{ heldOut: { path: 'p', limit: 5 } }, { heldOut: { path: 'p' }, heldOutOverlap: 'keep' }, { heldOut: { path: 'p', columns: { prompt: 'other' } } }]) {
      expect(parseRunSpec({ ...minimal(), data: { ...minimal().data, ...dPol, ...data } }).data.policy?.path).toBe('p');
    }
  });

  it('let given pairs be short: nothing is sampled for them', () => {
    expect(parseRunSpec({ ...minimal(), preset: 'dpo', ...bare, data: pairs, preference: { maxLength: 128 } }).preference.maxLength).toBe(128);
  });

  it('let a default that does nothing pass', () => {
    expect(parseRunSpec({ ...minimal(), preference: { scheduler: 'constant' } }).preference.warmupRatio).toBe(0.1);
  });

  it('let a budget in currency stand where the price is known', () => {
    const teacher = { baseUrl: 'https://api.openai.com/v1', model: 'gpt-4o-2024-08-06', budget: { cost: 5 } };
    expect(parseRunSpec({ ...minimal(), teacher }).teacher?.budget).toEqual({ cost: 5, tokens: null });
  });

  it('let +Step 2 go on from a finished run', () => {
    const spec = parseRunSpec({ ...minimal(), ...bare, data: dPol, model: { from: { run: 'run_1', model: 'round1' } }, recipe: { improver: 'kept' } });
    expect(spec).toMatchObject({ teacher: null, model: { path: null, artifact: null, from: { run: 'run_1', model: 'round1' } } });
  });
});
