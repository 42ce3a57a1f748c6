/** What `data check --json` prints, for tests. */
import { explainDropReason } from '@sgpo/core';
import { expect } from 'vitest';
import type { Outcome } from './command.ts';

export interface PrintedCheck {
  readonly as?: string; readonly format?: string; readonly rows?: number; readonly kept?: number;
  readonly dropped?: Readonly<Record<string, number>>; readonly flagged?: Readonly<Record<string, number>>; readonly examples?: readonly { readonly row: number; readonly reason: string; readonly detail: string }[];
  readonly error?: { readonly code: string; readonly message: string; readonly fix: string; readonly place: string };
}

/** What holds for every file: one JSON value on stdout, nothing on stderr, an exit code that says what the value says, sums that add up, a meaning for every reason. */
export function printedCheck({ code, stdout, stderr }: Outcome): PrintedCheck {
  expect(stderr).toBe('');
  const value = JSON.parse(stdout) as PrintedCheck;
  expect(code).toBe(value.error === undefined ? 0 : 2);
  if (value.error !== undefined) {
    expect(value.error).toEqual({ code: expect.stringMatching(/^DATASET\.[A-Z_]+$/) as string, message: expect.stringMatching(/./) as string, fix: expect.stringMatching(/./) as string, place: expect.stringMatching(/./) as string });
  }
  const { rows, kept = 0, dropped = {}, flagged = {}, examples = [] } = value;
  if (rows === undefined) {
    expect(value.error).toBeDefined();
    return value;
  }
  expect(kept + Object.values(dropped).reduce((sum, count) => sum + count, 0)).toBe(rows);
  expect(value.error === undefined).toBe(kept > 0);
  for (const reason of [...Object.keys(dropped), ...Object.keys(flagged)]) expect(explainDropReason(reason), reason).not.toBeNull();
  for (const reason of Object.keys(dropped)) expect(examples.map((example) => example.reason)).toContain(reason);
  return value;
}
