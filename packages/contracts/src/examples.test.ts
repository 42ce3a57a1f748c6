import { readdirSync, readFileSync } from 'node:fs';
import { compileRun } from '@sgpo/core';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { parseRunSpec } from './run-spec.ts';
import { expandStudy } from './study.ts';

const folder = new URL('../../../examples/', import.meta.url);
const read = (name: string): unknown => parse(readFileSync(new URL(name, folder), 'utf8'));
const specsIn = (name: string): string[] => readdirSync(new URL(name, folder)).filter((file) => file.endsWith('.yaml')).toSorted();
const names = specsIn('.');
/** A whole run with every number of the paper. */
const paper = ['llama3-8b.yaml', 'qwen2-1.5b.yaml', 'qwen2.5-7b.yaml'];

describe('examples', () => {
  it('are there', () => {
    expect(names).toEqual([
      'continue.yaml', 'demo.yaml', 'dpo.yaml', 'kto.yaml', 'llama3-8b.yaml', 'lora.yaml', 'orpo.yaml', 'qwen2-1.5b.yaml', 'qwen2.5-7b.yaml', 'sft-ultrachat.yaml', 'simpo.yaml', 'spin.yaml',
      'teacher-batch.yaml', 'teacher-policy.yaml',
    ]);
    expect(specsIn('studies')).toEqual(['demo.yaml', 'table3.yaml', 'table4.yaml', 'table5.yaml', 'table6.yaml', 'table7.yaml']);
  });

  it.each(names)('%s is a spec that compiles', (name) => {
    expect(compileRun(parseRunSpec(read(name))).steps.at(-1)?.kind).toBe('report');
  });

  it.each(paper)("%s has the paper's hyper-parameters", (name) => {
    const spec = parseRunSpec(read(name));
    expect(spec.improverTraining).toMatchObject({ epochs: 3, learningRate: 2e-5, batchSize: 128, maxLength: 2048, scheduler: 'cosine' });
    expect(spec.preference).toMatchObject({ epochs: 1, learningRate: 5e-7, beta: 0.01, batchSize: 128, maxLength: 2048, scheduler: 'cosine' });
    expect(spec.sampling).toMatchObject({ temperature: 0.7, topP: 0.9 });
  });
});

describe('studies', () => {
  /** Rows of the paper's tables, as preset and model: Tables 3 to 7 of arXiv 2507.20181. */
  const rows: Readonly<Record<string, readonly string[]>> = {
    'table3.yaml': ['qwen2.5-7b', 'llama3-8b'].flatMap((model) => ['sft', 'dpo', 'spin', 'sgpo-separate', 'sgpo-external', 'sgpo'].map((preset) => `${preset} ${model}`)),
    'table4.yaml': ['spin', 'sgpo-offpolicy', 'sgpo'].map((preset) => `${preset} llama3-8b`),
    'table5.yaml': ['sgpo-external', 'sgpo-v2', 'sgpo-separate', 'sgpo'].map((preset) => `${preset} qwen2-1.5b`),
    'table6.yaml': ['sft', 'sgpo', 'sgpo+step2'].flatMap((preset) => ['qwen2.5-7b', 'llama3-8b'].map((model) => `${preset} ${model}`)),
    'table7.yaml': ['sgpo-all-ref', 'sgpo-no-ref', 'sgpo'].map((preset) => `${preset} qwen2.5-7b`),
  };

  it.each(Object.keys(rows))("%s has the rows of its table, with the paper's hyper-parameters", (name) => {
    const { runs } = expandStudy(read(`studies/${name}`));
    expect(runs.map(({ entry, spec }) => `${entry.preset} ${spec.model.path?.replace('models/', '') ?? ''}`)).toEqual(rows[name]);
    for (const { spec } of runs) {
      expect(compileRun(spec).steps.at(-1)?.kind).toBe('report');
      expect(spec.sftTraining).toMatchObject({ epochs: spec.model.path === 'models/qwen2-1.5b' ? 3 : 1, learningRate: 2e-5, batchSize: 128 });
      expect(spec.improverTraining).toMatchObject({ epochs: 3, learningRate: 2e-5, batchSize: 128, maxLength: 2048, scheduler: 'cosine' });
      const isSpin = spec.preset === 'spin';
      expect(spec.preference).toMatchObject({
        epochs: 1, batchSize: 128, maxLength: 2048, scheduler: 'cosine', beta: isSpin ? 0.1 : 0.01, learningRate: isSpin && spec.model.path === 'models/qwen2.5-7b' ? 3e-7 : 5e-7,
      });
    }
  });

  it('the small one has every preset, on rows that lie here', () => {
    const { runs } = expandStudy(read('studies/demo.yaml'));
    expect(new Set(runs.map(({ entry }) => entry.preset)).size).toBe(11);
    for (const { spec } of runs) {
      expect(compileRun(spec).steps.at(-1)?.kind).toBe('report');
      for (const source of Object.values(spec.data)) if (typeof source === 'object' && source !== null) expect(() => readFileSync(new URL(`../${source.path!}`, folder)), source.path!).not.toThrow();
    }
  });
});
