import { expect, test } from 'vitest';
import { cleanValue, withCleanArguments } from './text.ts';

test('NUL and half surrogates become U+FFFD in strings and keys, at any depth; everything else stays', () => {
  const date = new Date();
  const bytes = new Uint8Array([0]);
  expect(cleanValue({ 'a\0': ['\ud800x', { b: 'ok 😀' }], n: 1, big: 2n, none: null, date, bytes })).toEqual({ 'a\uFFFD': ['\uFFFDx', { b: 'ok 😀' }], n: 1, big: 2n, none: null, date, bytes });
});

test('a wrapped repository gets clean arguments and keeps what it is', async () => {
  const repository = { prefix: 'p', async say(text: string, wake: () => string) { return `${this.prefix} ${text} ${wake()}`; } };
  expect(await withCleanArguments(repository).say('x\0', () => 'called\0')).toBe('p x\uFFFD called\0');
});
