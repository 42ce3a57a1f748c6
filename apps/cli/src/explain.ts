import { SgpoError, type Problem } from '@sgpo/core';
import { CliError, exitCodes } from './cli-error.ts';

/** A failure as a command shows it, and as it stands in the JSON of one. */
export interface Explanation { readonly code: string; readonly message: string; readonly fix: string; readonly problems: readonly Problem[]; readonly exitCode: number }

/** Null for anything but the failures this product explains: that is a fault of ours, and shows where it lies. */
export function explain(error: unknown): Explanation | null {
  if (error instanceof CliError) return { code: 'CLI', message: error.message, fix: error.fix, problems: [], exitCode: error.exitCode };
  // Specs and data sets that are wrong are wrong usage of a command that only reads them.
  if (error instanceof SgpoError) return { code: error.code, message: error.message, fix: error.remedy, problems: error.problems, exitCode: exitCodes.usage };
  return null;
}

/** Field, what was found there where that may be told, what is wrong, what to write instead. */
export function formatProblem({ field, value, message, fix }: Problem): string[] {
  return [`  ${field}: ${message}`, ...(value === undefined ? [] : [`    found: ${JSON.stringify(value)}`]), `    fix: ${fix}`];
}

/** Lines for stderr: what, each problem with its field and fix, and what to do. */
export function formatExplanation({ code, message, fix, problems }: Explanation): string {
  return [
    `sgpo: ${code === 'CLI' ? '' : `${code}: `}${message}`, ...problems.flatMap(formatProblem), `fix:  ${fix}`, '',
  ].join('\n');
}
