import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import type { DatasetSource } from '@sgpo/core';
import { findDataset, readDataset } from './dataset.ts';
import { startHub, type HubRepository, type HubServer } from './testing/hub-server.ts';
import { accessTo, sourceOf, valuesOf } from './testing/sources.ts';
import { collect, errorOf, temporaryFolder } from './testing/temporary-folder.ts';

const commit = 'c'.repeat(40);
const repository: HubRepository = {
  revisions: { main: commit, 'v1.0': 'b'.repeat(40), 'refs/convert/parquet': 'd'.repeat(40) },
  files: {
    [commit]: { 'README.md': '#', 'data/train-00001-of-00002.jsonl': '{"n":2}\n', 'data/train-00000-of-00002.jsonl': gzipSync('{"n":1}\n'), 'data/test.jsonl': '{"n":9}\n', 'data/odd name+.txt': '' },
    ['b'.repeat(40)]: { 'train.jsonl': '{"n":"old"}\n' },
    ['d'.repeat(40)]: { 'default/validation/0000.jsonl': '{"n":"converted"}\n' },
  },
  large: (path) => path.endsWith('.jsonl'),
};
const hubOf = (changes: Partial<NonNullable<DatasetSource['hub']>> = {}): DatasetSource => sourceOf({ hub: { repo: 'team/set', revision: 'main', config: null, split: 'train', token: null, ...changes } });

async function read(hub: HubServer, source: DatasetSource, environment: Record<string, string> = {}, cacheFolder = temporaryFolder()) {
  const found = await findDataset(source, accessTo('/none', { environment: { HF_ENDPOINT: hub.url, ...environment }, cacheFolder }));
  const reading = await readDataset(found, 'drop', { wanted: () => true });
  return { values: valuesOf(await collect(reading.rows())), commit: found.commit, names: reading.bytes().files.map(({ name }) => name) };
}

describe('a data set of the hub', () => {
  it('is read at the commit of its revision, over pages of the listing and files at another origin', async () => {
    const hub = await startHub({ repositories: { 'team/set': repository } });
    expect(await read(hub, hubOf())).toEqual({ values: [{ n: 1 }, { n: 2 }], commit, names: ['data/train-00000-of-00002.jsonl', 'data/train-00001-of-00002.jsonl'] });
    expect(await read(hub, hubOf({ revision: 'v1.0' }))).toMatchObject({ values: [{ n: 'old' }], commit: 'b'.repeat(40) });
    expect(hub.requests.filter(({ path }) => path.includes('/resolve/')).every(({ path }) => path.includes(commit) || path.includes('b'.repeat(40)))).toBe(true);
  });
  it('is looked for among the conversions of the hub when it has no such split itself', async () => {
    const hub = await startHub({ repositories: { 'team/set': repository } });
    expect(await read(hub, hubOf({ split: 'validation' }))).toMatchObject({ values: [{ n: 'converted' }], commit: 'd'.repeat(40) });
    expect(await errorOf(read(hub, hubOf({ split: 'nowhere' })))).toMatchObject({ code: 'DATASET.NOT_FOUND', message: expect.stringContaining('no file of the split nowhere; it has data/train-00001') as string });
  });
  it('is downloaded once', async () => {
    const hub = await startHub({ repositories: { 'team/set': repository } });
    const cache = temporaryFolder();
    await read(hub, hubOf(), {}, cache);
    const before = hub.requests.length;
    await read(hub, hubOf(), {}, cache);
    expect(hub.requests.slice(before).filter(({ path, origin }) => path.includes('/resolve/') || origin === 'storage')).toEqual([]);
    expect((await readdir(join(cache, 'datasets'))).filter((name) => !/^[0-9a-f]{64}$/.test(name))).toEqual([]);
  });
  it('gets its token by name, in a header, and no other origin sees it', async () => {
    const hub = await startHub({ repositories: { 'team/set': repository }, token: 'not-hf-shaped' });
    expect((await read(hub, hubOf({ token: 'env:MY_TOKEN' }), { MY_TOKEN: 'not-hf-shaped' })).values).toHaveLength(2);
    expect(hub.requests.filter(({ origin }) => origin === 'storage').map(({ authorization }) => authorization)).toEqual([undefined, undefined]);
    const refused = await errorOf(read(hub, hubOf({ token: 'env:MY_TOKEN' }), { MY_TOKEN: 'wrong' }));
    expect(refused).toMatchObject({ code: 'DATASET.REMOTE_REFUSED', problems: [{ field: 'data.improver.hub', value: 'team/set' }] });
    expect(JSON.stringify(refused)).not.toContain('wrong');
    expect(await errorOf(read(hub, hubOf({ token: 'env:NONE' })))).toMatchObject({ code: 'DATASET.REMOTE_REFUSED', problems: [{ field: 'data.improver.hub.token', value: 'env:NONE' }] });
  });
  it('is refused when bytes come that the hub does not list, and nothing of them is kept', async () => {
    const hub = await startHub({ repositories: { 'team/set': repository } });
    for (const tamper of [(bytes: Buffer) => bytes.subarray(1), (bytes: Buffer) => Buffer.from(bytes.toString('latin1').replace('n', 'm'), 'latin1')]) {
      hub.tamper = tamper;
      const cache = temporaryFolder();
      expect(await errorOf(read(hub, hubOf(), {}, cache))).toMatchObject({ code: 'DATASET.REMOTE_UNREACHABLE', message: expect.stringContaining('that are not the') as string });
      hub.tamper = null;
      expect((await read(hub, hubOf(), {}, cache)).values).toEqual([{ n: 1 }, { n: 2 }]);
    }
  });
  it.each([[500, 'DATASET.REMOTE_UNREACHABLE'], [429, 'DATASET.REMOTE_UNREACHABLE'], [403, 'DATASET.REMOTE_REFUSED'], [404, 'DATASET.NOT_FOUND']])('tells what %d means', async (status, code) => {
    const hub = await startHub({ repositories: {} });
    hub.failWith = status;
    expect((await errorOf(read(hub, hubOf()))).code).toBe(code);
  });
  it('tells unknown sets and revisions, and a hub that is not there', async () => {
    const hub = await startHub({ repositories: { 'team/set': repository } });
    expect((await errorOf(read(hub, hubOf({ repo: 'team/other' })))).code).toBe('DATASET.NOT_FOUND');
    expect((await errorOf(read(hub, hubOf({ revision: 'v9' })))).code).toBe('DATASET.NOT_FOUND');
    expect((await errorOf(read({ ...hub, url: 'http://127.0.0.1:9' }, hubOf()))).code).toBe('DATASET.REMOTE_UNREACHABLE');
  });
});
