import { randomUUID } from 'node:crypto';
import helmet from '@fastify/helmet';
import { fastifySSE } from '@fastify/sse';
import { routes } from '@sgpo/contracts';
import { fastify, LogController } from 'fastify';
import type { FastifyInstance } from 'fastify';
import { serializerCompiler } from 'fastify-type-provider-zod';
import { requireToken } from './auth.ts';
import { createCallerSignals } from './caller-signal.ts';
import type { Config } from './config.ts';
import type { Dependencies } from './dependencies.ts';
import { answerFrameworkError, handleErrors } from './errors.ts';
import { describeApi } from './openapi.ts';
import { addArtifactRoutes } from './routes/artifacts.ts';
import { addDatasetRoutes } from './routes/datasets.ts';
import { addEstimateRoutes } from './routes/estimates.ts';
import { addEventRoutes } from './routes/events.ts';
import { addPreviewRoutes } from './routes/previews.ts';
import { addRecipeRoutes } from './routes/recipes.ts';
import { addResultRoutes } from './routes/results.ts';
import { addRunRoutes } from './routes/runs.ts';
import { addServiceRoutes } from './routes/service.ts';
import { addStudyRoutes } from './routes/studies.ts';

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
    const signalOf = createCallerSignals(v1);
    addRunRoutes(v1, dependencies, signalOf);
    addEstimateRoutes(v1, dependencies, signalOf);
    addPreviewRoutes(v1, dependencies, signalOf);
    addStudyRoutes(v1, dependencies, signalOf);
    addDatasetRoutes(v1, dependencies, signalOf);
    addRecipeRoutes(v1);
    addEventRoutes(v1, dependencies);
    addResultRoutes(v1, dependencies);
    addArtifactRoutes(v1, dependencies);
    done();
  });
  return app;
}
