import { describe, expect, it } from 'vitest';
import { cacheKey } from './cache-key.ts';
import type { CacheKeyParts } from './cache-key.ts';

const parts: CacheKeyParts = { kind: 'generate', version: 1, role: 'shard', parameters: { seed: 7, sampling: { topP: 0.9, temperature: 0.7 } }, inputs: { model: 'm', rows: ['a', 'b'] } };

describe('cacheKey', () => {
  it('does not depend on the order of fields', () => {
    expect(cacheKey(parts)).toMatch(/^[0-9a-f]{64}$/);
    expect(cacheKey({ ...parts, parameters: { sampling: { temperature: 0.7, topP: 0.9 }, seed: 7 }, inputs: { rows: ['a', 'b'], model: 'm' } })).toBe(cacheKey(parts));
  });
  it('changes with everything a result depends on', () => {
    const others: CacheKeyParts[] = [
      { ...parts, kind: 'score' }, { ...parts, version: 2 }, { ...parts, role: 'whole' }, { ...parts, parameters: { seed: 8 } },
      { ...parts, inputs: { ...parts.inputs, rows: ['b', 'a'] } }, { ...parts, inputs: { model: 'm' } }, { ...parts, extra: { engine: 'vllm' } }, { ...parts, extra: null },
    ];
    expect(new Set([parts, ...others].map(cacheKey)).size).toBe(1 + others.length);
  });
  it('refuses numbers that JSON cannot hold', () => {
    expect(() => cacheKey({ ...parts, parameters: { seed: Number.NaN } })).toThrow(/NaN/);
  });
});
