/** Whatever gives a reason against a row, in either language: people are told what it means. */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { explainDropReason } from '@sgpo/core';
import { describe, expect, it } from 'vitest';

const checkout = join(import.meta.dirname, '../..');

/** Where reasons are written out, and how they look there. */
const places: readonly (readonly [glob: string, ...patterns: RegExp[]])[] = [
  ['packages/core/src/{filter,measure,pairs,replay,sft-rows}.ts', /'([a-z]+(?:_[a-z]+)+)'/g],
  ['packages/core/src/row*.ts', /\bdrop\('([a-z_]+)'/g],
  ['packages/llm/src/*.ts', /\bdropReason: '([a-z_]+)'/g, /'(teacher_[a-z_]+)'/g],
  ['apps/orchestrator/src/local/answer-row.ts', /: '([a-z_]+)'/g],
  ['python-worker/src/sgpo_worker/**/*.py', /\bdrop_reason="([a-z_]+)"/g, /\bdropped\["([a-z_]+)"\]/g],
];

describe('reasons against rows', () => {
  it.each(places)('of %s have a meaning', (glob, ...patterns) => {
    const files = globSync(glob, { cwd: checkout }).filter((file) => !file.endsWith('.test.ts'));
    const codes = files.flatMap((file) => {
      const text = readFileSync(join(checkout, file), 'utf8');
      return patterns.flatMap((pattern) => [...text.matchAll(pattern)].map((match) => match[1] ?? ''));
    });
    expect(codes).not.toEqual([]);
    expect([...new Set(codes)].filter((code) => explainDropReason(code) === null)).toEqual([]);
  });
});
