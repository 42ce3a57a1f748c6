import type { Problem } from '@sgpo/core';

/**
 * A call that did not succeed. `status` is the HTTP status, or null when no answer came (the server is stopped or out of reach, the call timed out).
 * `code` is an entry of the error catalogue, or CLIENT.UNREACHABLE, CLIENT.TIMEOUT, CLIENT.BAD_ANSWER for what the client itself found.
 */
export class ApiError extends Error {
  readonly status: number | null;
  readonly code: string;
  readonly detail: string;
  readonly remedy: string;
  readonly problems: readonly Problem[];
  readonly requestId: string | null;

  constructor(fields: {
    readonly status: number | null; readonly code: string; readonly detail: string; readonly remedy: string;
    readonly problems?: readonly Problem[]; readonly requestId?: string | null; readonly cause?: unknown;
  }) {
    super(`${fields.code}: ${fields.detail}`, fields.cause === undefined ? undefined : { cause: fields.cause });
    this.name = 'ApiError';
    this.status = fields.status;
    this.code = fields.code;
    this.detail = fields.detail;
    this.remedy = fields.remedy;
    this.problems = fields.problems ?? [];
    this.requestId = fields.requestId ?? null;
  }
}
