import swagger from '@fastify/swagger';
import type { FastifyInstance } from 'fastify';
import { jsonSchemaTransform, jsonSchemaTransformObject } from 'fastify-type-provider-zod';

/** Collects every route that is added afterwards; serves the document as /openapi.json. */
export async function describeApi(app: FastifyInstance): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'SGPO Fleet', version: '0.1.0', description: 'Runs of SGPO (self-generated preference optimisation, arXiv 2507.20181) and its baselines: estimated, started, followed, compared, and their results.' },
      components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } } },
      tags: [
        { name: 'runs', description: 'Runs and what became of them' }, { name: 'studies', description: 'Runs side by side' }, { name: 'datasets', description: 'Registered data sets' },
        { name: 'artifacts', description: 'Tables, models and reports' }, { name: 'service', description: 'Recipes and health' },
      ],
    },
    transform: (document) => nameTheRest(jsonSchemaTransform(document)),
    transformObject: (document) => withoutUnused(jsonSchemaTransformObject(document)),
  });
  app.get('/openapi.json', { schema: { hide: true } }, (_, reply) => reply.send(app.swagger()));
}

type Described = ReturnType<typeof jsonSchemaTransform>;

/** OpenAPI has no `*`: the rest of a path is a parameter called `path`. */
function nameTheRest(described: Described): Described {
  if (!described.url.endsWith('/*')) return described;
  const text = JSON.stringify(described.schema['params']).replaceAll('"*"', '"path"');
  return { schema: { ...described.schema, params: JSON.parse(text) as unknown }, url: described.url.replace(/\*$/, ':path') };
}

/** Every schema is made as input and as output; only those that a route refers to, directly or through others, stay. */
function withoutUnused<Document extends object>(document: Document): Document {
  const { components, paths } = document as { readonly components?: { readonly schemas?: Readonly<Record<string, unknown>> }; readonly paths?: unknown };
  const schemas = components?.schemas ?? {};
  const used = new Set<string>();
  const visit = (part: unknown): void => {
    for (const [, name] of JSON.stringify(part).matchAll(/"#\/components\/schemas\/([^"]+)"/g)) {
      if (name === undefined || used.has(name)) continue;
      used.add(name);
      visit(schemas[name] ?? null);
    }
  };
  visit(paths ?? {});
  return { ...document, components: { ...components, schemas: Object.fromEntries(Object.entries(schemas).filter(([name]) => used.has(name))) } };
}
