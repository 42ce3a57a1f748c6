import { randomUUID } from 'node:crypto';
import helmet from '@fastify/helmet';
import { fastifySSE } from '@fastify/sse';
import { routes } from '@sgpo/contracts';
import { fastify, LogController } from 'fastify';
import type { FastifyInstance } from 'fastify';
import { serializerCompiler } from 'fastify-type-provider-zod';
import { requireToken } from './auth.ts';
import type { Config } from './config.ts';
import type { Dependencies } from './dependencies.ts';
import { answerFrameworkError, handleErrors } from './errors.ts';
import { describeApi } from './openapi.ts';
import { addArtifactRoutes } from './routes/artifacts.ts';
import { addEventRoutes } from './routes/events.ts';
import { addResultRoutes } from './routes/results.ts';
import { addRunRoutes } from './routes/runs.ts';
import { addServiceRoutes } from './routes/service.ts';

/** A spec is a few kilobytes; rows never travel inline. */
const bodyLimitBytes = 256 * 1024;
const heartbeatMs = 15_000;

/** The whole API, in the order a request meets it. Nothing listens yet. */
export async function buildApp(dependencies: Dependencies, { logLevel }: Pick<Config, 'logLevel'>): Promise<FastifyInstance> {
  const app = fastify({
    logger: { level: logLevel, base: { service: 'api' }, redact: ['req.headers.authorization'] },
    // Probes come every few seconds and say nothing.
    logController: new LogController({ disableRequestLogging: ({ url }) => url === routes.health.path || url === routes.ready.path }),
    bodyLimit: bodyLimitBytes, genReqId: () => randomUUID(), routerOptions: { maxParamLength: 1100 },
    frameworkErrors: answerFrameworkError,
  });
  // JSON is the only body there is.
  app.removeContentTypeParser('text/plain');
  app.setSerializerCompiler(serializerCompiler);
  handleErrors(app, dependencies.database);
  // Added first, so that refused requests name themselves too.
  app.addHook('onRequest', async (request, reply) => { void reply.header('x-request-id', request.id); });
  await app.register(helmet);
  await app.register(fastifySSE, { heartbeatInterval: heartbeatMs });
  await describeApi(app);

  addServiceRoutes(app, dependencies);
  await app.register((v1, _, done) => {
    requireToken(v1, dependencies.database.tokens);
    addRunRoutes(v1, dependencies);
    addEventRoutes(v1, dependencies);
    addResultRoutes(v1, dependencies);
    addArtifactRoutes(v1, dependencies);
    done();
  });
  return app;
}
