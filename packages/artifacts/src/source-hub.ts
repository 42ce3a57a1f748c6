import { createWriteStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';
import { HubApiError, datasetInfo, listFiles } from '@huggingface/hub';
import { SgpoError, type DatasetSource } from '@sgpo/core';
import { hashFile } from './data-file.ts';
import { problem, remoteProblem, type About } from './dataset-errors.ts';
import { errnoOf } from './disk-errors.ts';
import type { DownloadCache } from './download-cache.ts';
import { filesOfSplit } from './hub-split.ts';
import type { DataFile, SourceFiles } from './source-files.ts';

type HubSource = NonNullable<DatasetSource['hub']>;

/** What reaching a place needs: the operator's settings, where downloads are kept (null: nothing may be downloaded), and when to stop. */
export interface RemoteAccess { readonly environment: Readonly<Record<string, string | undefined>>; readonly cache: DownloadCache | null; readonly signal?: AbortSignal }

interface HubFile { readonly name: string; readonly size: number; readonly sha256: string | null }
interface Hub { readonly url: string; readonly fetch: typeof fetch }

/** The branch on which the hub keeps sets of other formats as Parquet. */
const converted = 'refs/convert/parquet';

/**
 * Files of a split of a hub repository at a commit: the revision is resolved once, and everything is read at the commit it is. A set that has no file
 * of the split on `main` is looked for among the hub's own conversions. The hub is that of HF_ENDPOINT; the token goes there and nowhere else.
 * Throws DATASET.NOT_FOUND, REMOTE_REFUSED, REMOTE_UNREACHABLE; reading a file throws DATASET.UNREADABLE when other bytes come than the hub lists.
 */
export async function hubFiles(source: HubSource, about: About, access: RemoteAccess): Promise<SourceFiles> {
  const hub = connect(source, about, access);
  const found = await splitAt(hub, source, source.revision, about);
  if ('files' in found.split) return { files: found.split.files.map((file) => dataFile(hub, source.repo, found.commit, file, about, access)), commit: found.commit };
  const other = source.revision === 'main' ? await splitAt(hub, { ...source, config: source.config ?? 'default' }, converted, about).catch(nullWhenAbsent) : null;
  if (other === null || !('files' in other.split)) throw problem(about, 'DATASET.NOT_FOUND', found.split.message, found.split.fix);
  return { files: other.split.files.map((file) => dataFile(hub, source.repo, other.commit, file, about, access)), commit: other.commit };
}

/** A set without conversions; what else went wrong there is told. */
function nullWhenAbsent(error: unknown): null {
  if (error instanceof SgpoError && error.code === 'DATASET.NOT_FOUND') return null;
  throw error;
}

async function splitAt(hub: Hub, { repo, split, config }: HubSource, revision: string, about: About): Promise<{ readonly commit: string; readonly split: ReturnType<typeof filesOfSplit<HubFile>> }> {
  try {
    const { sha } = await datasetInfo({ name: repo, revision, additionalFields: ['sha'], hubUrl: hub.url, fetch: hub.fetch });
    const files: HubFile[] = [];
    for await (const { type, path, size, lfs } of listFiles({ repo: { type: 'dataset', name: repo }, revision: sha, recursive: true, hubUrl: hub.url, fetch: hub.fetch })) {
      if (type === 'file') files.push({ name: path, size: lfs?.size ?? size, sha256: lfs?.oid ?? null });
    }
    return { commit: sha, split: filesOfSplit(files, split, config) };
  } catch (error) {
    throw hubProblem(error, about);
  }
}

function connect(source: HubSource, about: About, { environment, signal }: RemoteAccess): Hub {
  const url = (environment['HF_ENDPOINT'] ?? 'https://huggingface.co').replace(/\/+$/, '');
  const token = tokenOf(source, about, environment);
  if (!URL.canParse(url)) throw problem(about, 'DATASET.REMOTE_UNREACHABLE', 'HF_ENDPOINT is no address of a hub', 'Set it to a URL such as https://huggingface.co, or leave it out');
  const { origin } = new URL(url);
  return {
    url,
    fetch: (input, init) => {
      const target = new URL(input instanceof Request ? input.url : input);
      const headers = new Headers(init?.headers);
      // A redirect to another origin loses the header in fetch itself; a link to one must not get it here.
      if (token !== null && target.origin === origin) headers.set('authorization', `Bearer ${token}`);
      return fetch(input, { ...init, headers, ...signal === undefined ? {} : { signal } });
    },
  };
}

function tokenOf({ token }: HubSource, about: About, environment: Readonly<Record<string, string | undefined>>): string | null {
  if (token === null) return null;
  const name = token.replace(/^env:/, '');
  const value = environment[name];
  if (value === undefined || value === '') {
    throw problem({ field: `${about.field}.token`, value: token }, 'DATASET.REMOTE_REFUSED', `the variable ${name} is not set where the data set is read`, 'Set it for the service, or leave hub.token out for a public set');
  }
  return value;
}

function dataFile(hub: Hub, repo: string, commit: string, file: HubFile, about: About, { cache, signal }: RemoteAccess): DataFile {
  const path = file.name.split('/').map(encodeURIComponent).join('/');
  return {
    name: file.name, bytes: file.size,
    locate() {
      if (cache === null) throw new TypeError('files of the hub are not read without a folder for them');
      return cache.get(['hub', hub.url, repo, commit, file.name], async (target) => {
        try {
          const response = await hub.fetch(`${hub.url}/datasets/${repo}/resolve/${commit}/${path}`);
          if (!response.ok || response.body === null) throw remoteProblem(about, response.status, `the hub, asked for ${file.name},`, undefined);
          await pipeline(Readable.fromWeb(response.body as ReadableStream), createWriteStream(target), signal === undefined ? {} : { signal });
        } catch (error) {
          throw hubProblem(error, about);
        }
        await checkDownload(target, file, about);
      });
    },
  };
}

async function checkDownload(path: string, { name, size, sha256 }: HubFile, about: About): Promise<void> {
  const { size: bytes } = await stat(path);
  const whole = bytes === size && (sha256 === null || await hashFile(path) === sha256);
  if (!whole) throw problem(about, 'DATASET.REMOTE_UNREACHABLE', `the hub sent ${String(bytes)} bytes of ${name} that are not the ${String(size)} it lists`, 'Try again; a proxy or a mirror may have changed or cut them');
}

/** Errors of the disk and of aborts stay what they are. */
function hubProblem(error: unknown, about: About): unknown {
  if (error instanceof SgpoError || errnoOf(error) !== null || (error instanceof Error && error.name === 'AbortError')) return error;
  return remoteProblem(about, error instanceof HubApiError ? error.statusCode : null, 'the hub', error);
}
