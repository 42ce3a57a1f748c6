import type { ErrorCode, SgpoError } from '@sgpo/core';
import { asUnreadable, fieldError, type PathErrors } from './allowed-path.ts';
import { FileError } from './file-error.ts';

/** What an error about a data set names: the field of the request, and the value it had. */
export interface About { readonly field: string; readonly value: string }

export const datasetPathErrors: PathErrors = { noun: 'data set', notFound: 'DATASET.NOT_FOUND', notAllowed: 'DATASET.NOT_ALLOWED', unreadable: 'DATASET.UNREADABLE' };

export const problem = (about: About, code: ErrorCode, message: string, fix: string, cause?: unknown): SgpoError => fieldError(code, about.field, about.value, message, fix, cause);

/** What reading a file failed with, as an error about the data set; `name` names the file where there are several. */
export function fileProblem(error: unknown, about: About, name: string | null): unknown {
  if (error instanceof FileError) return problem(about, 'DATASET.UNREADABLE', name === null ? error.message : `${name}: ${error.message}`, error.fix, error);
  return asUnreadable(error, about.value, about.field, datasetPathErrors);
}

/** What a place on the network answered, as an error. `status`: of HTTP, null when there was no answer. */
export function remoteProblem(about: About, status: number | null, what: string, cause: unknown): SgpoError {
  if (status === 401 || status === 403) {
    return problem(about, 'DATASET.REMOTE_REFUSED', `${what} answers ${String(status)}: access is refused`, 'Check the name, and that the key or token named may read it; private sets need one', cause);
  }
  if (status === 404) return problem(about, 'DATASET.NOT_FOUND', `${what} answers 404: there is no such thing`, 'Check the name and the revision; a private set needs a token', cause);
  const answer = status === null ? 'does not answer' : `answers ${String(status)}`;
  return problem(about, 'DATASET.REMOTE_UNREACHABLE', `${what} ${answer}`, 'Check its address and the network, then try again', cause);
}
