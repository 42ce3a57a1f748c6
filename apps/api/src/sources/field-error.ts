import { SgpoError } from '@sgpo/core';
import type { ErrorCode, Problem } from '@sgpo/core';

/** An error about one field of a request. */
export const fieldError = (code: ErrorCode, problem: Problem): SgpoError => new SgpoError(code, problem.message, { remedy: problem.fix, problems: [problem] });
