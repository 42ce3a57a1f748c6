import { SgpoError } from '@sgpo/core';
import type { TeamId } from '@sgpo/core';
import type { TokenRepository } from '@sgpo/database';
import type { FastifyInstance, FastifyRequest } from 'fastify';

declare module 'fastify' {
  interface FastifyRequest {
    /** Team of the bearer token; null before it was checked. */
    teamId: TeamId | null;
  }
}

/** Every route of `app` needs a live bearer token. It is checked before the body is read. */
export function requireToken(app: FastifyInstance, tokens: TokenRepository): void {
  app.decorateRequest('teamId', null);
  app.addHook('onRequest', async (request) => {
    const { authorization } = request.headers;
    if (authorization === undefined || authorization === '') {
      throw new SgpoError('AUTH.MISSING', 'The request has no bearer token', { remedy: 'Send authorization: Bearer <token>' });
    }
    const token = /^Bearer +([A-Za-z0-9._~+/=-]{1,512})$/i.exec(authorization)?.[1];
    const owner = token === undefined ? null : await tokens.verify(token);
    if (owner === null) throw new SgpoError('AUTH.INVALID', 'The bearer token is unknown, expired or revoked', { remedy: 'Make a token with `npm run sgpo -- token create NAME`' });
    request.teamId = owner.teamId;
  });
}

/** Team of an authenticated request. */
export function teamOf(request: FastifyRequest): TeamId {
  if (request.teamId === null) throw new TypeError(`${request.routeOptions.url ?? request.url} is served without a token check`);
  return request.teamId;
}
