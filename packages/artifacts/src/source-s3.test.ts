import { mkdtempSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { zstdCompressSync } from 'node:zlib';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findDataset, readDataset } from './dataset.ts';
import { startS3, type S3Server } from './testing/s3-server.ts';
import { accessTo, sourceOf, valuesOf } from './testing/sources.ts';
import { collect, errorOf, temporaryFolder } from './testing/temporary-folder.ts';

let server: S3Server;
const folder = mkdtempSync(join(tmpdir(), 'sgpo-s3-'));
const put = (Key: string, Body: string | Buffer) => server.client.send(new PutObjectCommand({ Bucket: 'sets', Key, Body }));

beforeAll(async () => {
  server = await startS3(folder, 'sets');
  await put('chat/b.jsonl', '{"n":2}\n');
  await put('chat/a.jsonl.zst', zstdCompressSync(Buffer.from('{"n":1}\n')));
  await put('chat/notes.txt', 'no rows');
  await put('chat/more/c.jsonl', '{"n":3}\n');
});
afterAll(async () => {
  await server.stop();
  await rm(folder, { recursive: true, force: true });
});

async function read(path: string, { environment = server.environment, cacheFolder = temporaryFolder() }: { readonly environment?: Readonly<Record<string, string>>; readonly cacheFolder?: string } = {}) {
  const reading = await readDataset(await findDataset(sourceOf({ path }), accessTo('/none', { environment, cacheFolder })), 'drop', { wanted: () => true });
  return valuesOf(await collect(reading.rows()));
}

describe('a data set on S3', () => {
  it.each([['s3://sets/chat/b.jsonl', [{ n: 2 }]], ['s3://sets/chat/', [{ n: 1 }, { n: 2 }, { n: 3 }]], ['s3://sets/chat/*.jsonl*', [{ n: 1 }, { n: 2 }]], ['s3://sets/**/c.jsonl', [{ n: 3 }]]])('%s', async (path, expected) => {
    expect(await read(path)).toEqual(expected);
  });
  it('is downloaded once for each version of an object', async () => {
    const cacheFolder = temporaryFolder();
    await put('changing.jsonl', '{"v":1}\n');
    expect(await read('s3://sets/changing.jsonl', { cacheFolder })).toEqual([{ v: 1 }]);
    await read('s3://sets/changing.jsonl', { cacheFolder });
    expect(await readdir(join(cacheFolder, 'datasets'))).toHaveLength(1);
    await put('changing.jsonl', '{"v":2}\n');
    expect(await read('s3://sets/changing.jsonl', { cacheFolder })).toEqual([{ v: 2 }]);
    expect(await readdir(join(cacheFolder, 'datasets'))).toHaveLength(2);
  });
  it('is refused to wrong keys, and no key is told', async () => {
    const error = await errorOf(read('s3://sets/chat/b.jsonl', { environment: { ...server.environment, AWS_SECRET_ACCESS_KEY: 'wrong-secret' } }));
    expect(error).toMatchObject({ code: 'DATASET.REMOTE_REFUSED', problems: [{ field: 'data.improver.path', value: 's3://sets/chat/b.jsonl' }] });
    expect(JSON.stringify(error)).not.toContain('wrong-secret');
  });
  it('tells what is not there', async () => {
    for (const path of ['s3://sets/none.jsonl', 's3://sets/none/', 's3://sets/chat/*.csv', 's3://no-such-bucket/x.jsonl', 's3://sets', 's3://sets/']) {
      const { code } = await errorOf(read(path));
      expect([path, code]).toEqual([path, 'DATASET.NOT_FOUND']);
    }
    expect((await errorOf(read('s3://sets/chat/', { environment: { ...server.environment, AWS_ENDPOINT_URL: 'http://127.0.0.1:9' } }))).code).toBe('DATASET.REMOTE_UNREACHABLE');
  });
});
