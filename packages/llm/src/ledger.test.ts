import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import { ledgerKey } from './ledger.ts';
import { optionsFor, user } from './testing/fixtures.ts';

const base = optionsFor('http://a.example.com/v1', { seed: 3 });

it('is the sha256 of canonical JSON', () => {
  const json = '{"maxTokens":64,"messages":[{"content":"hi","role":"user"}],"model":"tiny","sample":0,"seed":3,"temperature":0.7,"topP":0.9}';
  expect(ledgerKey(base, user('hi'), 0)).toBe(createHash('sha256').update(json).digest('hex'));
});

it('stays the same when only the way to the model changes', () => {
  const elsewhere = optionsFor('http://b.example.com:99/v1', { seed: 3, apiKey: 'env:KEY', concurrency: 1, timeoutSeconds: 1, maxAttempts: 9, price: { promptPerMillion: 1, completionPerMillion: 1 } });
  expect(ledgerKey(elsewhere, [{ content: 'hi', role: 'user' }], 0)).toBe(ledgerKey(base, user('hi'), 0));
});

it('differs with all that an answer depends on', () => {
  const keys = [
    ledgerKey(base, user('hi'), 0), ledgerKey(base, user('hi'), 1), ledgerKey(base, user('hi '), 0), ledgerKey(base, [{ role: 'system', content: 'hi' }], 0), ledgerKey(base, [], 0),
    ...[{ model: 'other' }, { temperature: 0 }, { topP: 1 }, { maxTokens: 65 }, { seed: null }, { seed: 0 }].map((change) => ledgerKey({ ...base, ...change }, user('hi'), 0)),
  ];
  expect(new Set(keys).size).toBe(keys.length);
});
