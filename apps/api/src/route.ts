import { problemDocumentSchema, problemMediaType, problemsOf, statusOf } from '@sgpo/contracts';
import type { RequestOf, ResponseOf, Route } from '@sgpo/contracts';
import { SgpoError } from '@sgpo/core';
import type { ErrorCode } from '@sgpo/core';
import type { FastifyInstance, FastifyReply, FastifyRequest, FastifySchema, FastifySchemaCompiler } from 'fastify';
import { z } from 'zod';

/** Gives the JSON answer, or the reply after having sent something else. */
export type Handler<R extends Route> = (input: RequestOf<R>, request: FastifyRequest, reply: FastifyReply) => Promise<ResponseOf<R> | FastifyReply>;

interface RouteOptions {
  readonly method?: 'HEAD';
  /** Serves text/event-stream beside JSON. */
  readonly stream?: boolean;
}

/** Adds a route of the table, and HEAD for it unless it streams or answers with a file. */
export function addRoute<R extends Route>(app: FastifyInstance, name: string, route: R, handler: Handler<R>, options: RouteOptions = {}): void {
  app.route({
    method: options.method ?? route.method, url: urlOf(route.path), schema: schemaOf(name, route, options.method === 'HEAD'), validatorCompiler,
    exposeHeadRoute: route.method === 'GET' && route.response !== null && options.stream !== true,
    ...(options.stream === true ? { sse: 'dual' } : {}),
    handler: (request, reply) => {
      const input: unknown = { params: request.params, query: request.query, headers: request.headers };
      // validatorCompiler has put the parsed values of the table's schemas there; Fastify's types cannot follow.
      return handler(input as RequestOf<R>, request, reply);
    },
  });
}

/** Fastify reads `::` as the colon itself: `/v1/runs:estimate` has no parameter. */
const urlOf = (path: string): string => path.replaceAll(/(?<=[^/]):/g, '::');

/** Bodies are left to their handler: a spec has errors of its own. */
const validatorCompiler: FastifySchemaCompiler<unknown> = ({ schema, httpPart }) => (data: unknown) => {
  if (httpPart === 'body' || !(schema instanceof z.ZodType)) return { value: data };
  const parsed = schema.safeParse(data);
  if (parsed.success) return { value: parsed.data };
  const problems = problemsOf(parsed.error.issues, { input: data, schema, root: httpPart ?? 'request' });
  return { error: new SgpoError('REQUEST.INVALID', problems[0]?.message ?? 'The request is not valid', { remedy: problems[0]?.fix ?? 'See /openapi.json', problems }) };
};

interface Content { readonly description: string; readonly content: Readonly<Record<string, { readonly schema: z.ZodType }>> }

/** Request and response schemas, and what OpenAPI says about the route. */
function schemaOf(name: string, route: Route, hide: boolean): FastifySchema & Readonly<Record<string, unknown>> {
  const response: Record<string, Content | z.ZodType> = {};
  const media = Object.fromEntries(Object.entries(route.also ?? {}).map(([type, description]) => [type, { schema: z.string().describe(description) }]));
  for (const [status, description] of Object.entries(route.success)) {
    const json = route.response === null ? {} : { 'application/json': { schema: route.response } };
    response[status] = status === '204' || status === '304' ? z.null().describe(description) : { description, content: { ...json, ...media } };
  }
  for (const [status, codes] of errorsOf(route)) {
    response[status] = { description: codes.join(', '), content: { [problemMediaType]: { schema: problemDocumentSchema } } };
  }
  return {
    ...(route.params === undefined ? {} : { params: route.params }), ...(route.query === undefined ? {} : { querystring: route.query }),
    ...(route.headers === undefined ? {} : { headers: route.headers }), ...(route.body === undefined ? {} : { body: route.body }),
    response, operationId: name, summary: route.summary, tags: [route.tag], security: route.auth ? [{ bearer: [] }] : [], ...(hide ? { hide: true } : {}),
  };
}

function errorsOf(route: Route): ReadonlyMap<string, readonly ErrorCode[]> {
  const isChecked = [route.params, route.query, route.headers, route.body].some((schema) => schema !== undefined);
  const codes = new Set<ErrorCode>([...(isChecked ? ['REQUEST.INVALID' as const] : []), ...(route.auth ? ['AUTH.MISSING', 'AUTH.INVALID', 'SERVICE.NOT_READY'] as const : []), ...route.errors, 'SERVICE.INTERNAL']);
  return Map.groupBy([...codes], (code) => String(statusOf(code)));
}
