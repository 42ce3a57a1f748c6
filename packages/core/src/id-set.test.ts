import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createIdSet } from './id-set.ts';

const id = fc.tuple(fc.nat(2 ** 32 - 1), fc.nat(7)).map(([high, low]) => high.toString(16).padStart(8, '0') + low.toString(16).padStart(8, '0'));

describe('createIdSet', () => {
  it('agrees with a Set of strings, also where ids collide', () => {
    fc.assert(fc.property(fc.array(id, { maxLength: 200 }), fc.array(id), (added, asked) => {
      const ids = createIdSet();
      const model = new Set<string>();
      for (const one of added) {
        expect(ids.add(one)).toBe(!model.has(one));
        model.add(one);
      }
      for (const one of [...added, ...asked]) expect(ids.has(one)).toBe(model.has(one));
      expect(ids.size).toBe(model.size);
    }));
  });
  it('grows, and holds the id of zeros', () => {
    const ids = createIdSet();
    for (let n = 0; n < 5000; n += 1) ids.add((n * 0x9e3779b1).toString(16).slice(-8).padStart(8, '0').padEnd(16, '5'));
    const before = ids.size;
    expect([ids.has('0'.repeat(16)), ids.add('0'.repeat(16)), ids.add('0'.repeat(16)), ids.has('0'.repeat(16)), ids.size]).toEqual([false, true, false, true, before + 1]);
    expect(ids.has('0000000000000001')).toBe(false);
  });
  it('refuses what is no id', () => {
    for (const wrong of ['', 'x', '0123456789ABCDEF', '0123456789abcdef0']) expect(() => createIdSet().add(wrong)).toThrow(TypeError);
  });
});
