import { compileRun, presetNames, SgpoError } from '@sgpo/core';
import type { Problem } from '@sgpo/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseRunSpec } from './run-spec.ts';
import { expandStudy } from './study.ts';

/** Serves every preset: each set and the teacher are read by some of them. */
const base = () => ({
  model: { path: '/models/m' }, teacher: { baseUrl: 'http://127.0.0.1:9/v1', model: 't' }, sampling: { maxNewTokens: 64 },
  data: { sft: { path: '/data/s.jsonl' }, improver: { path: '/data/i.jsonl', limit: 8 }, policy: { path: '/data/p.jsonl' }, preferences: { path: '/data/d.jsonl' }, heldOut: { path: '/data/h.jsonl' } },
});

function refusal(body: unknown): { readonly code: string; readonly problems: readonly Problem[]; readonly text: string } {
  try { expandStudy(body); } catch (error) {
    if (error instanceof SgpoError) return { code: error.code, problems: error.problems, text: JSON.stringify(error.toFailure()) };
    throw error;
  }
  throw new Error('the study was accepted');
}

describe('a study of lists', () => {
  it('serves all eleven presets from one base: each gets the sets it reads', () => {
    const { name, runs } = expandStudy({ name: 'all', base: base(), presets: presetNames });
    expect(name).toBe('all');
    expect(runs.map(({ entry }) => entry)).toEqual(presetNames.map((preset) => ({ label: preset, preset, model: '/models/m', seed: 0 })));
    const sets = (preset: string) => Object.entries(runs.find(({ spec }) => spec.preset === preset)!.spec.data).filter(([, source]) => typeof source === 'object' && source !== null).map(([set]) => set);
    expect(sets('sft')).toEqual(['sft', 'heldOut']);
    expect(sets('dpo')).toEqual(['sft', 'preferences', 'heldOut']);
    expect(sets('spin')).toEqual(['sft', 'policy', 'heldOut']);
    expect(sets('sgpo')).toEqual(['sft', 'improver', 'policy', 'heldOut']);
    expect(runs.filter(({ spec }) => spec.teacher !== null)).toHaveLength(8);
    for (const { spec } of runs) {
      expect(parseRunSpec(spec)).toEqual(spec);
      expect(compileRun(spec).steps.at(-1)?.kind).toBe('report');
    }
  });

  it('varies presets, then models, then seeds', () => {
    const { model, ...rest } = base();
    const { runs } = expandStudy({ name: 's', base: rest, presets: ['sgpo', 'spin'], models: [model, { artifact: 'a'.repeat(64) }, { from: { run: 'run_1' } }], seeds: [1, 2] });
    expect(runs.map(({ entry: { label, model: name, seed } }) => `${label} ${name.slice(0, 11)} ${String(seed)}`)).toEqual(
      ['sgpo', 'spin'].flatMap((label) => ['/models/m', 'aaaaaaaaaaa', 'run_1/final'].flatMap((name) => [1, 2].map((seed) => `${label} ${name} ${String(seed)}`))),
    );
    expect(runs.map(({ spec }) => spec.seed)).toEqual(runs.map(({ entry }) => entry.seed));
  });

  it('takes what it does not vary from the base', () => {
    const { runs } = expandStudy({ name: 's', base: { ...base(), preset: 'spin' }, seeds: [3] });
    expect(runs.map(({ entry }) => entry)).toEqual([{ label: 'spin', preset: 'spin', model: '/models/m', seed: 3 }]);
  });
});

describe('a study of changes', () => {
  const expand = (...changes: object[]) => expandStudy({ name: 's', base: { ...base(), preset: 'sgpo' }, runs: changes.map((change, index) => ({ label: `run ${String(index)}`, changes: change })) }).runs;

  it('merges objects, replaces lists and scalars', () => {
    const [a, b] = expand({ sampling: { topP: 0.5 }, data: { policy: { limit: 5 } } }, { preference: { trainer: 'dpo', loss: ['ipo'] }, rules: { targetFlaws: [] } });
    expect(a!.entry).toEqual({ label: 'run 0', preset: 'sgpo', model: '/models/m', seed: 0 });
    expect(a!.spec).toMatchObject({ sampling: { topP: 0.5, maxNewTokens: 64 }, data: { policy: { path: '/data/p.jsonl', limit: 5 }, improver: { limit: 8 } } });
    expect(b!.spec).toMatchObject({ preference: { loss: ['ipo'] }, rules: { targetFlaws: [] }, sampling: { topP: 0.9 } });
  });

  it('moves a set or a model to another place whole', () => {
    const [a, b] = expand({ model: { artifact: 'b'.repeat(64) }, data: { improver: { dataset: 'mix' } } }, { seed: 1, data: { improver: { hub: { repo: 'o/n' } } } });
    expect(a!.spec.model).toEqual({ path: null, artifact: 'b'.repeat(64), from: null });
    expect(a!.spec.data.improver).toMatchObject({ path: null, hub: null, dataset: 'mix', limit: 8 });
    expect(b!.spec.data.improver).toMatchObject({ path: null, hub: { repo: 'o/n', split: 'train' }, limit: 8 });
  });

  it('leaves sets out that the base brought, and refuses those that the changes bring', () => {
    const [run] = expand({ preset: 'spin' });
    expect([run!.spec.data.improver, run!.spec.teacher]).toEqual([null, null]);
    const study = { name: 's', base: { ...base(), preset: 'spin' }, runs: [{ label: 'a', changes: { data: { improver: { path: 'x' } } } }] };
    expect(refusal(study)).toMatchObject({ code: 'SPEC.CONFLICT', problems: [{ field: 'runs[0].changes.data.improver', message: 'a: data.improver does nothing: no step of this recipe reads it' }] });
  });

  it('a label may stand for several seeds, as one method', () => {
    const runs = expandStudy({ name: 's', base: { ...base(), preset: 'sgpo' }, runs: [1, 2].map((seed) => ({ label: 'mine', changes: { seed } })) }).runs;
    expect(runs.map(({ entry }) => [entry.label, entry.seed])).toEqual([['mine', 1], ['mine', 2]]);
  });
});

describe('a study that cannot be', () => {
  it.each([
    ['without a name', { base: base(), presets: ['sgpo'] }, 'STUDY.INVALID', 'name'],
    ['that compares nothing', { name: 's', base: { ...base(), preset: 'sgpo' } }, 'STUDY.INVALID', 'presets'],
    ['with lists and runs', { name: 's', base: base(), presets: ['sgpo'], runs: [{ label: 'a', changes: {} }] }, 'STUDY.INVALID', 'presets'],
    ['with a preset in the base and a list', { name: 's', base: { ...base(), preset: 'sgpo' }, presets: ['sgpo'] }, 'STUDY.INVALID', 'base.preset'],
    ['with a preset twice', { name: 's', base: base(), presets: ['sgpo', 'sgpo'] }, 'STUDY.INVALID', 'runs'],
    ['with two equal entries', { name: 's', base: { ...base(), preset: 'sgpo' }, runs: [{ label: 'a', changes: {} }, { label: 'a', changes: { filter: { factor: 2 } } }] }, 'STUDY.INVALID', 'runs'],
    ['with 400 runs', { name: 's', base: base(), presets: ['sgpo', 'spin', 'sft', 'dpo', 'sgpo-v2', 'sgpo-no-ref', 'sgpo-all-ref', 'sgpo-external'], seeds: Array.from({ length: 50 }, (_, seed) => seed) }, 'STUDY.INVALID', 'presets'],
    ['of previews', { name: 's', base: { ...base(), preview: {} }, presets: ['sgpo'] }, 'STUDY.INVALID', 'base.preview'],
    ['with an unknown key', { name: 's', base: base(), preset: ['sgpo'] }, 'STUDY.INVALID', 'preset'],
    ['with an unknown preset', { name: 's', base: base(), presets: ['sgpo', 'sgpo3'] }, 'SPEC.UNKNOWN_PRESET', 'presets[1]'],
    ['with a wrong model', { name: 's', base: { data: base().data, teacher: base().teacher }, presets: ['sgpo'], models: [{ path: 'a' }, { path: 7 }] }, 'SPEC.INVALID', 'models[1].path'],
    ['with a wrong change', { name: 's', base: { ...base(), preset: 'sgpo' }, runs: [{ label: 'a', changes: { seed: 'x' } }] }, 'SPEC.INVALID', 'runs[0].changes.seed'],
    ['nothing', null, 'STUDY.INVALID', 'study'],
  ])('%s', (_, body, code, field) => {
    const found = refusal(body);
    expect([found.code, found.problems.map((one) => one.field)]).toEqual([code, [field]]);
    expect(found.problems.every((one) => one.fix !== '' && one.message !== '')).toBe(true);
  });

  it('tells a fault that several runs share once, and who shares it', () => {
    const found = refusal({ name: 's', base: { ...base(), seed: -1, model: undefined }, presets: presetNames });
    expect(found.problems.map(({ field, message }) => [field, message])).toEqual([
      ['base.seed', expect.stringMatching(/^sft, dpo, spin, sgpo, sgpo\+step2 and 6 more: seed must be at least 0/)], ['base.model', expect.stringMatching(/and 6 more: model is missing/)],
    ]);
  });

  it('never repeats a key that was written into the base', () => {
    expect(refusal({ name: 's', base: { ...base(), teacher: { ...base().teacher, apiKey: 'sk-123456' } }, presets: ['sgpo'] }).text).not.toContain('sk-123456');
  });

  it('gives nothing but runs or an SgpoError', () => {
    fc.assert(fc.property(fc.anything(), fc.anything(), fc.constantFrom('data', 'model', 'recipe', 'teacher', 'sampling'), (value, other, key) => {
      expect(refusal({ name: 's', base: { ...base(), [key]: value }, runs: [{ label: 'a', changes: { preset: 'x', [key]: other } }] }).problems).not.toEqual([]);
    }), { numRuns: 200 });
  });
});
