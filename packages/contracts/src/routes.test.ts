import { SgpoError } from '@sgpo/core';
import { describe, expect, it } from 'vitest';
import { closest } from './closest.ts';
import { problemDocument, problemDocumentSchema } from './problem.ts';
import { pathOf, routes } from './routes.ts';

describe('pathOf', () => {
  it('fills and encodes parameters', () => {
    expect(pathOf(routes.getRun, { id: 'run_1/..?x' })).toBe('/v1/runs/run_1%2F..%3Fx');
    expect(pathOf(routes.artifactFile, { 'digest': 'ab', '*': 'a b/ü#.json' })).toBe('/v1/artifacts/ab/files/a%20b/%C3%BC%23.json');
  });
  it('leaves a colon inside a segment as it is', () => {
    expect([pathOf(routes.estimateRun, {}), pathOf(routes.previewRun, {})]).toEqual(['/v1/runs:estimate', '/v1/runs:preview']);
  });
  it('refuses a parameter that is missing', () => {
    expect(() => pathOf(routes.getRun, {})).toThrow('needs id');
  });
});

describe('problemDocument', () => {
  it('shows everything but the cause', () => {
    const error = new SgpoError('RUN.NOT_FOUND', 'no', { remedy: 'look', cause: new Error('hidden'), problems: [{ field: 'id', value: undefined, message: 'm', fix: 'f' }] });
    const document = problemDocument(error, { instance: '/v1/runs/x', requestId: 'r' });
    expect(problemDocumentSchema.parse(document)).toEqual({
      type: '/problems/RUN.NOT_FOUND', title: 'No such run', status: 404, code: 'RUN.NOT_FOUND', detail: 'no', remedy: 'look', problems: [{ field: 'id', message: 'm', fix: 'f' }], instance: '/v1/runs/x', requestId: 'r',
    });
    expect(JSON.stringify(document)).not.toContain('hidden');
  });
});

describe('closest', () => {
  it('sees through case, separators and small mistakes, and stops at strangers', () => {
    const keys = ['learningRate', 'batchSize', 'beta', 'seed'];
    expect(['learning_rate', 'BATCHSIZE', 'betta', 'sed', 'sede', 'quantum', ''].map((word) => closest(word, keys))).toEqual(['learningRate', 'batchSize', 'beta', 'seed', 'seed', null, null]);
  });
});
