import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';

/** A server that speaks the part of the hub's API that reading data sets needs; large files come from another origin, as from the hub's storage. */
export interface HubServer {
  readonly url: string;
  /** Every request: which of the two origins, method, path, and whether a token came with it. */
  readonly requests: { readonly origin: 'hub' | 'storage'; readonly path: string; readonly authorization: string | undefined }[];
  /** Bytes of the storage are cut or changed when set. */
  tamper: ((bytes: Buffer) => Buffer) | null;
  /** Status of every answer of the hub when set. */
  failWith: number | null;
}

export interface HubRepository {
  /** Revision (branch or tag) → commit. */
  readonly revisions: Readonly<Record<string, string>>;
  /** Commit → path → content. */
  readonly files: Readonly<Record<string, Readonly<Record<string, Buffer | string>>>>;
  /** Files of these names are stored elsewhere, with their sha256. */
  readonly large?: (path: string) => boolean;
}

export async function startHub({ repositories, token = null, pageSize = 2 }: { readonly repositories: Readonly<Record<string, HubRepository>>; readonly token?: string | null; readonly pageSize?: number }): Promise<HubServer> {
  const requests: HubServer['requests'] = [];
  const state: HubServer = { url: '', requests, tamper: null, failWith: null };
  const listen = async (origin: 'hub' | 'storage', answer: (request: IncomingMessage, response: ServerResponse, url: URL) => void): Promise<string> => {
    const server = createServer((request, response) => {
      requests.push({ origin, path: request.url ?? '', authorization: request.headers.authorization });
      answer(request, response, new URL(request.url ?? '/', 'http://localhost'));
    });
    await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
    onTestFinished(() => new Promise((resolve) => { server.closeAllConnections(); server.close(() => { resolve(); }); }));
    return `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
  };
  const contents = new Map<string, Buffer>();
  const storage = await listen('storage', (_, response, { pathname }) => {
    const bytes = contents.get(pathname);
    if (bytes === undefined) response.writeHead(404).end();
    else response.end(state.tamper === null ? bytes : state.tamper(bytes));
  });
  const url = await listen('hub', (request, response, { pathname, searchParams }) => {
    if (state.failWith !== null) {
      response.writeHead(state.failWith).end('failed');
      return;
    }
    if (token !== null && request.headers.authorization !== `Bearer ${token}`) return json(response, 401, { error: 'Invalid credentials in Authorization header' });
    const [, repo = '', rest = ''] = /^\/(?:api\/)?datasets\/([^/]+\/[^/]+)\/(.*)$/.exec(pathname) ?? [];
    const repository = repositories[repo];
    if (repository === undefined) return json(response, 404, { error: 'Repository not found' });
    const [verb = '', revision = '', ...path] = rest.split('/').map(decodeURIComponent);
    const commit = repository.revisions[revision] ?? revision;
    const files = repository.files[commit];
    if (files === undefined) return json(response, 404, { error: `Invalid rev id: ${revision}` });
    if (verb === 'revision') return json(response, 200, { _id: '1', id: repo, sha: commit, private: false, downloads: 0, likes: 0, gated: false, lastModified: '2026-01-01T00:00:00.000Z' });
    if (verb === 'tree') return sendTree(response, { repository, files, page: Number(searchParams.get('cursor') ?? 0), self: `${state.url}${pathname}?recursive=true&expand=false` });
    return sendFile(response, repository, path.join('/'), files[path.join('/')]);
  });
  function sendTree(response: ServerResponse, { repository, files, page, self }: { readonly repository: HubRepository; readonly files: Readonly<Record<string, Buffer | string>>; readonly page: number; readonly self: string }): void {
    const entries = Object.entries(files).map(([path, content]) => ({
      type: 'file', path, oid: '0'.repeat(40), size: Buffer.byteLength(content), ...repository.large?.(path) === true ? { lfs: { oid: sha256(content), size: Buffer.byteLength(content), pointerSize: 130 } } : {},
    }));
    if ((page + 1) * pageSize < entries.length) response.setHeader('link', `<${self}&cursor=${String(page + 1)}>; rel="next"`);
    json(response, 200, [...page === 0 ? [{ type: 'directory', path: 'data', oid: '0'.repeat(40), size: 0 }] : [], ...entries.slice(page * pageSize, (page + 1) * pageSize)]);
  }
  function sendFile(response: ServerResponse, repository: HubRepository, path: string, content: Buffer | string | undefined): void {
    if (content === undefined) return json(response, 404, { error: 'Entry not found' });
    if (repository.large?.(path) !== true) {
      response.end(content);
      return;
    }
    const digest = sha256(content);
    contents.set(`/${digest}`, Buffer.from(content));
    response.writeHead(302, { location: `${storage}/${digest}`, 'x-linked-etag': `"${digest}"`, 'x-linked-size': String(Buffer.byteLength(content)) }).end();
  }
  return Object.assign(state, { url });
}

const sha256 = (content: Buffer | string): string => createHash('sha256').update(content).digest('hex');
function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}
