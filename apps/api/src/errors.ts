import { problemDocument, problemMediaType } from '@sgpo/contracts';
import { SgpoError } from '@sgpo/core';
import type { ErrorCode } from '@sgpo/core';
import type { Database } from '@sgpo/database';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { pingInTime } from './ping.ts';

/** Every answer that is not a success leaves through here, as problem+json. */
export function handleErrors(app: FastifyInstance, database: Pick<Database, 'ping'>): void {
  app.setErrorHandler(async (error, request, reply) => answer(known(error) ?? await explain(error, database), request, reply));
  app.setNotFoundHandler((request, reply) => answer(
    new SgpoError('ROUTE.NOT_FOUND', `There is no ${request.method} ${pathOf(request)}`, { remedy: 'See /openapi.json for the routes there are' }), request, reply,
  ));
}

/** What Fastify finds before routing, such as a broken address. */
export function answerFrameworkError(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
  answer(known(error) ?? internal(error), request, reply);
}

function answer(error: SgpoError, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  // Client errors are the caller's business: one line without a stack.
  if (error.entry.http >= 500) request.log.error({ err: error, code: error.code }, 'request failed');
  else request.log.info({ code: error.code }, 'request refused');
  if (error.entry.http === 401) void reply.header('www-authenticate', error.code === 'AUTH.MISSING' ? 'Bearer realm="sgpo"' : 'Bearer realm="sgpo", error="invalid_token"');
  const document = problemDocument(error, { instance: pathOf(request), requestId: request.id });
  return reply.code(document.status).type(problemMediaType).serializer(JSON.stringify).send(document);
}

const known = (error: unknown): SgpoError | null => error instanceof SgpoError ? error : fromFastify(error);

/** What nobody foresaw: while the database is away, that is the reason; else a fault of ours. */
async function explain(error: unknown, database: Pick<Database, 'ping'>): Promise<SgpoError> {
  try {
    await pingInTime(database);
  } catch {
    return notReady(error);
  }
  return internal(error);
}

export const notReady = (cause: unknown): SgpoError =>
  new SgpoError('SERVICE.NOT_READY', 'The database does not answer', { remedy: 'Check that Postgres runs and that DATABASE_URL is right; then try again', cause });

/** The path without its query, which may hold anything. */
const pathOf = (request: FastifyRequest): string => request.url.split('?', 1)[0] ?? '/';

const internal = (cause: unknown): SgpoError =>
  new SgpoError('SERVICE.INTERNAL', 'Something failed inside the service', { remedy: 'Look for the requestId in the log of the API; try again later', cause });

/** Fastify's own refusals: code → ours, and what to tell. */
const refusals: Readonly<Record<string, { readonly code: ErrorCode; readonly detail: string; readonly remedy: string }>> = {
  FST_ERR_CTP_INVALID_JSON_BODY: { code: 'REQUEST.NOT_JSON', detail: 'The body is not valid JSON, or holds a key that is not allowed (__proto__, constructor.prototype)', remedy: 'Send one JSON object' },
  FST_ERR_CTP_EMPTY_JSON_BODY: { code: 'REQUEST.NOT_JSON', detail: 'The body is empty', remedy: 'Send one JSON object, or no content-type' },
  FST_ERR_CTP_BODY_TOO_LARGE: { code: 'REQUEST.TOO_LARGE', detail: 'The body is larger than a spec can be', remedy: 'Name data sets by their path instead of sending their rows' },
  FST_ERR_CTP_INVALID_MEDIA_TYPE: { code: 'REQUEST.UNSUPPORTED_MEDIA_TYPE', detail: 'The body has another type than JSON', remedy: 'Send content-type: application/json' },
  FST_ERR_CTP_EMPTY_TYPE: { code: 'REQUEST.UNSUPPORTED_MEDIA_TYPE', detail: 'The content-type is empty', remedy: 'Send content-type: application/json' },
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: { code: 'REQUEST.INVALID', detail: 'The body has another length than content-length says', remedy: 'Send the length of the body in bytes' },
  FST_ERR_BAD_URL: { code: 'REQUEST.INVALID', detail: 'The address is not validly percent-encoded', remedy: 'Encode the path as UTF-8' },
  FST_ERR_MAX_PARAM_LENGTH: { code: 'REQUEST.INVALID', detail: 'A part of the path is too long', remedy: 'Give the id or path as the API shows it' },
};

function fromFastify(error: unknown): SgpoError | null {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return null;
  const refusal = refusals[error.code];
  return refusal === undefined ? null : new SgpoError(refusal.code, refusal.detail, { remedy: refusal.remedy, cause: error });
}
