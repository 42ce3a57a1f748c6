import { createWriteStream } from 'node:fs';
import { matchesGlob } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { GetObjectCommand, HeadObjectCommand, S3Client, S3ServiceException, paginateListObjectsV2 } from '@aws-sdk/client-s3';
import { SgpoError } from '@sgpo/core';
import { problem, remoteProblem, type About } from './dataset-errors.ts';
import { errnoOf } from './disk-errors.ts';
import type { RemoteAccess } from './source-hub.ts';
import { byName, hasWildcard, isDataName, maxFiles, type DataFile, type SourceFiles } from './source-files.ts';

interface S3Object { readonly key: string; readonly bytes: number; readonly etag: string }

/**
 * Files of `s3://bucket/key`, of a prefix (ending in `/`) or of a pattern in its last parts, by name. Endpoint, region and keys are those of the
 * environment (AWS_*), else of the machine's account. Objects are downloaded once for each ETag.
 * Throws DATASET.NOT_FOUND, REMOTE_REFUSED or REMOTE_UNREACHABLE.
 */
export async function s3Files(url: string, about: About, access: RemoteAccess): Promise<SourceFiles> {
  const [, bucket = '', key = ''] = /^s3:\/\/([^/]+)\/?(.*)$/.exec(url) ?? [];
  if (bucket === '' || key === '') throw problem(about, 'DATASET.NOT_FOUND', 'it names no object', 'Write s3://bucket/key, or s3://bucket/prefix/ for all data files below it');
  const endpoint = access.environment['AWS_ENDPOINT_URL_S3'] ?? access.environment['AWS_ENDPOINT_URL'];
  const client = connect(access.environment, endpoint);
  const objects = await onS3(about, () => (key.endsWith('/') || hasWildcard(key) ? listObjects(client, bucket, key, access.signal) : headObject(client, bucket, key, access.signal)));
  if (objects.length === 0) throw problem(about, 'DATASET.NOT_FOUND', 'no object has such a key', 'Check bucket and key; a prefix ends in / and counts objects with names of data files alone');
  if (objects.length > maxFiles) throw problem(about, 'DATASET.UNREADABLE', `it names more than ${String(maxFiles)} objects`, 'Write a longer prefix');
  const named = objects.map((object) => ({ name: object.key, object })).toSorted(byName);
  return { files: named.map(({ object }) => dataFile({ client, bucket, endpoint: endpoint ?? 'aws' }, object, about, access)), commit: null };
}

function connect(environment: RemoteAccess['environment'], endpoint: string | undefined): S3Client {
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey, AWS_SESSION_TOKEN: sessionToken } = environment;
  return new S3Client({
    region: environment['AWS_REGION'] ?? environment['AWS_DEFAULT_REGION'] ?? 'us-east-1',
    // A task that fails is tried again as a whole, and finds what was downloaded.
    maxAttempts: 1, requestHandler: { connectionTimeout: 10_000, socketTimeout: 60_000 },
    ...(endpoint === undefined ? {} : { endpoint, forcePathStyle: true }),
    ...(accessKeyId === undefined || secretAccessKey === undefined ? {} : { credentials: { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) } }),
  });
}

async function headObject(client: S3Client, bucket: string, key: string, signal?: AbortSignal): Promise<readonly S3Object[]> {
  const { ContentLength, ETag } = await client.send(new HeadObjectCommand({ Bucket: bucket, Key: key }), abortable(signal));
  return [{ key, bytes: ContentLength ?? 0, etag: ETag ?? '' }];
}

async function listObjects(client: S3Client, bucket: string, key: string, signal?: AbortSignal): Promise<readonly S3Object[]> {
  const parts = key.split('/');
  const fixed = parts.findIndex(hasWildcard);
  const prefix = fixed === -1 ? key : parts.slice(0, fixed).map((part) => `${part}/`).join('');
  const objects: S3Object[] = [];
  for await (const { Contents = [] } of paginateListObjectsV2({ client }, { Bucket: bucket, Prefix: prefix }, abortable(signal))) {
    for (const { Key = '', Size = 0, ETag = '' } of Contents) if (fixed === -1 ? isDataName(Key) : matchesGlob(Key, key)) objects.push({ key: Key, bytes: Size, etag: ETag });
    if (objects.length > maxFiles) break;
  }
  return objects;
}

function dataFile({ client, bucket, endpoint }: { readonly client: S3Client; readonly bucket: string; readonly endpoint: string }, object: S3Object, about: About, { cache, signal }: RemoteAccess): DataFile {
  return {
    name: object.key, bytes: object.bytes,
    locate() {
      if (cache === null) throw new TypeError('objects are not read without a folder for them');
      return cache.get(['s3', endpoint, bucket, object.key, object.etag], (target) => onS3(about, async () => {
        const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: object.key, IfMatch: object.etag }), abortable(signal));
        if (!(Body instanceof Readable)) throw new TypeError('S3 gives no stream');
        await pipeline(Body, createWriteStream(target), abortable(signal) ?? {});
      }));
    },
  };
}

const abortable = (signal: AbortSignal | undefined): { abortSignal: AbortSignal; signal: AbortSignal } | undefined => (signal === undefined ? undefined : { abortSignal: signal, signal });

/** Runs `action` with what S3 and the network answer as errors about the data set; those of the disk and of aborts stay what they are. */
async function onS3<T>(about: About, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    if (error instanceof SgpoError || error instanceof TypeError || errnoOf(error) !== null || (error instanceof Error && error.name === 'AbortError')) throw error;
    if (error instanceof Error && error.name === 'CredentialsProviderError') throw remoteProblem(about, 401, 'S3, asked without keys (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set),', error);
    throw remoteProblem(about, error instanceof S3ServiceException ? error.$metadata.httpStatusCode ?? null : null, 'S3', error);
  }
}
