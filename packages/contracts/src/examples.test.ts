import { readdirSync, readFileSync } from 'node:fs';
import { compileRun } from '@sgpo/core';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { parseRunSpec } from './run-spec.ts';

const folder = new URL('../../../examples/', import.meta.url);
const read = (name: string): unknown => parse(readFileSync(new URL(name, folder), 'utf8'));
const names = readdirSync(folder).filter((name) => name.endsWith('.yaml'));

describe('examples', () => {
  it('are there', () => { expect(names.toSorted()).toEqual(['demo.yaml', 'llama3-8b.yaml', 'qwen2-1.5b.yaml', 'qwen2.5-7b.yaml']); });

  it.each(names)('%s is a spec that compiles', (name) => {
    expect(compileRun(parseRunSpec(read(name))).steps.at(-1)?.kind).toBe('report');
  });

  it.each(names.filter((name) => name !== 'demo.yaml'))("%s has the paper's hyper-parameters", (name) => {
    const spec = parseRunSpec(read(name));
    expect(spec.improverTraining).toMatchObject({ epochs: 3, learningRate: 2e-5, batchSize: 128, maxLength: 2048, scheduler: 'cosine' });
    expect(spec.preference).toMatchObject({ epochs: 1, learningRate: 5e-7, beta: 0.01, batchSize: 128, maxLength: 2048, scheduler: 'cosine' });
    expect(spec.sampling).toMatchObject({ temperature: 0.7, topP: 0.9 });
  });
});
