import { errorCatalogue, isErrorCode } from '@sgpo/core';
import type { SgpoError } from '@sgpo/core';
import { z } from 'zod';

/** One thing wrong with a request or a spec. */
export const problemSchema = z.object({
  field: z.string().describe('Where: data.improver.path'),
  value: z.unknown().optional().describe('What was there; left out when it is secret or long'),
  message: z.string(),
  fix: z.string().describe('What to write instead'),
}).meta({ id: 'Problem' });

/** An error answer: RFC 9457 with the members code, remedy, problems and requestId of our own. */
export const problemDocumentSchema = z.object({
  type: z.string().describe('/problems/<code>'),
  title: z.string(),
  status: z.int(),
  code: z.string().describe('Entry of the error catalogue, such as RUN.NOT_FOUND'),
  detail: z.string(),
  remedy: z.string(),
  problems: z.array(problemSchema),
  instance: z.string().describe('Path of the request'),
  requestId: z.string().describe('Names the request in the logs of the service'),
}).meta({ id: 'ProblemDocument' });
export type ProblemDocument = z.output<typeof problemDocumentSchema>;

/** Media type of an error answer. */
export const problemMediaType = 'application/problem+json';

/** The answer to a failed request. Nothing of `cause` enters it. */
export function problemDocument(error: SgpoError, request: { readonly instance: string; readonly requestId: string }): ProblemDocument {
  return {
    type: `/problems/${error.code}`, title: error.entry.title, status: error.entry.http, code: error.code, detail: error.message, remedy: error.remedy,
    problems: error.problems.map(({ field, value, message, fix }) => ({ field, ...(value === undefined ? {} : { value }), message, fix })),
    instance: request.instance, requestId: request.requestId,
  };
}

/** HTTP status of a code of the catalogue; 500 for one outside it. */
export const statusOf = (code: string): number => isErrorCode(code) ? errorCatalogue[code].http : 500;
