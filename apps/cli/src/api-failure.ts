import { ApiError } from '@sgpo/client';
import { CliError } from './cli-error.ts';
import { formatProblem } from './explain.ts';

const remedies: Readonly<Record<string, string>> = {
  'CLIENT.UNREACHABLE': 'start the service (npm start), or name the one that runs with --url or SGPO_URL',
  'AUTH.MISSING': 'set SGPO_TOKEN; npx sgpo token create NAME makes a token',
  'AUTH.INVALID': 'set SGPO_TOKEN to a token of this service; npx sgpo token create NAME makes one',
};

/** A failure of the API as a command shows it, each problem with field and fix; any other error as it is. `hint`: where to look further. */
export function describeApiFailure(error: unknown, hint: string | null): unknown {
  if (!(error instanceof ApiError)) return error;
  return new CliError([`${error.code}: ${error.detail}`, ...error.problems.flatMap(formatProblem)].join('\n'), `${remedies[error.code] ?? error.remedy}${hint === null ? '' : ` (${hint})`}`, { cause: error });
}
