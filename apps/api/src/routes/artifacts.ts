import { routes } from '@sgpo/contracts';
import { SgpoError } from '@sgpo/core';
import type { Digest } from '@sgpo/core';
import type { ArtifactFile, ArtifactRecord } from '@sgpo/database';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { teamOf } from '../auth.ts';
import type { Dependencies } from '../dependencies.ts';
import { toArtifact } from '../mappers.ts';
import { matchesTag, readRange } from '../range.ts';
import { addRoute } from '../route.ts';
import type { Handler } from '../route.ts';

/** Artifacts that a run of the caller's team made or used, and their files. */
export function addArtifactRoutes(app: FastifyInstance, { database, store }: Dependencies): void {
  async function find(request: FastifyRequest, digest: string): Promise<ArtifactRecord> {
    const record = await database.artifacts.get(digest as Digest, teamOf(request));
    if (record === null) throw new SgpoError('ARTIFACT.NOT_FOUND', `There is no artifact ${digest}`, { remedy: 'Take a digest from output of a step: GET /v1/runs/{id}' });
    return record;
  }

  addRoute(app, 'artifact', routes.artifact, async ({ params }, request) => toArtifact(await find(request, params.digest)));

  const sendFile: Handler<typeof routes.artifactFile> = async ({ params, headers }, request, reply) => {
    const { digest, files } = await find(request, params.digest);
    const file = files.find(({ path }) => path === params['*']) ?? refuse(params['*'], files);
    const tag = `"${file.sha256}"`;
    void reply.headers({
      // Content under a digest never changes.
      'etag': tag, 'cache-control': 'private, max-age=31536000, immutable', 'accept-ranges': 'bytes',
      'content-disposition': `attachment; filename*=UTF-8''${encodeURIComponent(file.path.slice(file.path.lastIndexOf('/') + 1))}`,
    });
    if (matchesTag(headers['if-none-match'], tag)) return reply.code(304).send();
    void reply.type('application/octet-stream');
    if (request.method === 'HEAD') return reply.header('content-length', file.bytes).send();
    const range = headers['if-range'] === undefined || headers['if-range'] === tag ? readRange(headers.range, file.bytes) : null;
    if (range === 'unsatisfiable') {
      void reply.header('content-range', `bytes */${String(file.bytes)}`);
      throw new SgpoError('REQUEST.RANGE', `The file has ${String(file.bytes)} bytes; the range lies outside`, { remedy: 'Ask for a range within the file, or leave Range out' });
    }
    const { stream, bytes } = await store.openFile(digest, file.path, ...(range === null ? [] : [range]));
    void reply.header('content-length', bytes);
    if (range !== null) void reply.code(206).header('content-range', `bytes ${String(range.start)}-${String(range.end)}/${String(file.bytes)}`);
    return reply.send(stream);
  };
  addRoute(app, 'artifactFile', routes.artifactFile, sendFile);
  // A HEAD of Fastify's own would read the file to throw it away.
  addRoute(app, 'artifactFileHead', routes.artifactFile, sendFile, { method: 'HEAD' });
}

function refuse(path: string, files: readonly ArtifactFile[]): never {
  const names = files.slice(0, 20).map((file) => file.path).join(', ');
  throw new SgpoError('ARTIFACT.FILE_NOT_FOUND', `The artifact has no file ${JSON.stringify(path.slice(0, 200))}`, { remedy: `It has: ${names}` });
}
