import { expect, it } from 'vitest';
import { registeredSource } from './registered-source.ts';
import { sampleSource } from './testing/sample-spec.ts';

const asked = { ...sampleSource(''), path: null, dataset: 'mix', sha256: 'a'.repeat(64) };

it.each([[null, null, null], [5, null, 5], [null, 3, 3], [5, 3, 3], [5, 9, 5]])('of limits %j (registered) and %j (asked) %j holds', (registered, limit, expected) => {
  const source = { ...sampleSource('rows.jsonl'), limit: registered, format: 'messages' as const };
  expect(registeredSource(source, { ...asked, limit })).toEqual({ ...source, limit: expected, sha256: asked.sha256 });
});
