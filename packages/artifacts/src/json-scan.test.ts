import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseRowText } from './json-scan.ts';

const outcome = (text: string): unknown => { const parsed = parseRowText(text); return 'value' in parsed ? parsed.value : parsed.reason; };

describe('parseRowText', () => {
  it('gives what JSON.parse gives, for any JSON without odd keys', () => {
    fc.assert(fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => {
      const text = JSON.stringify(value);
      const odd = /"__proto__":|"prototype":/.test(text);
      if (!odd) expect(outcome(text)).toEqual(JSON.parse(text));
    }));
  });
  it.each([
    ['duplicate_keys', '{"a":1,"a":2}'], ['duplicate_keys', '{"x":[{"b":1,"c":{},"b":3}]}'], ['duplicate_keys', String.raw`{"a":1,"\u0061":2}`],
    ['forbidden_key', '{"__proto__":{"polluted":true}}'], ['forbidden_key', String.raw`{"a":[{"\u005f_proto__":1}]}`], ['forbidden_key', '{"constructor":{"prototype":{"x":1}}}'],
    ['too_deep', `{"a":${'['.repeat(64)}${']'.repeat(64)}}`], ['too_deep', `${'{"a":'.repeat(65)}1${'}'.repeat(65)}`], ['too_deep', `${'['.repeat(200_000)}${']'.repeat(200_000)}`],
    ['malformed_line', '{"a":1'], ['malformed_line', '{"a":nan}'], ['malformed_line', '{"a":"NaN}'], ['malformed_line', '{"a": NaNa}'],
  ])('%s: %#', (reason, text) => { expect(outcome(text)).toBe(reason); });
  it('lets equal keys of different objects be, quotes and brackets in texts, and a constructor', () => {
    for (const text of ['[{"a":1},{"a":2}]', '{"a":{"a":{"a":1}},"b":{"a":2}}', String.raw`{"a\"b":"{\"a\":1,","c":"}]\\"}`, '{"constructor":"x","b":{"prototype":1}}', `${'['.repeat(64)}${']'.repeat(64)}`]) {
      expect(outcome(text)).toEqual(JSON.parse(text));
    }
  });
  it('reads NaN and Infinity outside texts as numbers that are not finite', () => {
    expect(outcome(String.raw`{"a":NaN,"b":[-Infinity, Infinity],"c":"NaN \" Infinity"}`)).toEqual({ a: Infinity, b: [-Infinity, Infinity], c: 'NaN " Infinity' });
  });
  it('takes linear time for a text of nothing but backslashes and quotes', () => {
    expect(outcome(`{"a":"${String.raw`\\\"`.repeat(400_000)}"}`)).toHaveProperty('a');
    expect(outcome(`{"a":NaN,"b":"${String.raw`\"`.repeat(400_000)}`)).toBe('malformed_line');
  });
});
