import { SgpoError } from '@sgpo/core';
import { describe, expect, it } from 'vitest';
import { parseDatasetBody } from './dataset-body.ts';

const minimal = () => ({ name: 'mix-7k', source: { path: '/data/mix' }, as: 'improver' });

describe('a data set to register', () => {
  it('has its defaults filled in', () => {
    expect(parseDatasetBody(minimal())).toEqual({
      name: 'mix-7k', as: 'improver', license: null,
      source: { path: '/data/mix', hub: null, dataset: null, limit: null, format: 'auto', columns: null, malformed: 'drop', dropFlagged: [], sha256: null },
    });
  });

  it.each([
    ['no name', { name: undefined }, 'name'],
    ['a name with a slash', { name: 'a/b' }, 'name'],
    ['no use', { as: undefined }, 'as'],
    ['an unknown use', { as: 'policies' }, 'as'],
    ['no place', { source: {} }, 'source'],
    ['two places', { source: { path: 'a', hub: { repo: 'o/n' } } }, 'source'],
    ['another registered set', { source: { dataset: 'b' } }, 'source.dataset'],
    ['a token that is written out', { source: { hub: { repo: 'o/n', token: 'hf_secret' } } }, 'source.hub.token'],
    ['an unknown key', { licence: 'MIT' }, 'licence'],
  ])('is refused with %s', (_, change, field) => {
    try {
      parseDatasetBody({ ...minimal(), ...change });
      expect.unreachable();
    } catch (error) {
      if (!(error instanceof SgpoError)) throw error;
      expect([error.code, error.problems.map((problem) => problem.field)]).toEqual(['REQUEST.INVALID', [field]]);
      expect(JSON.stringify(error.toFailure())).not.toContain('hf_secret');
    }
  });
});
