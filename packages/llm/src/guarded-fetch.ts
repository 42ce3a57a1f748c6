import { Agent as HttpAgent, request as requestHttp, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as requestHttps } from 'node:https';
import type { LookupFunction } from 'node:net';
import { Readable } from 'node:stream';
import { MalformedAnswer } from './completion.ts';
import { encodeForm } from './form.ts';
import { isAllowedHost, notAllowed, parseTeacherUrl, refuseClosed, resolveHost, showUrl, type Resolve, type ResolvedAddress } from './url-guard.ts';

/** Far more than any answer of a chat model; a body without end must not fill the memory. */
const maxBodyBytes = 16 * 1024 * 1024;

export interface GuardedFetchOptions {
  readonly allowedHosts: readonly string[];
  readonly resolve?: Resolve;
  /** Given: a good response resolves with its head, for bodies of any size, and ends with an error when nothing of it comes for so long. */
  readonly streamIdleMs?: number;
}

/**
 * A fetch for requests with text or a form as body that connects to allowed addresses only. The address is checked where it is used, between name
 * resolution and connection, so that no second resolution can bring another one. Redirects are refused: they would lead around the check.
 * Unless it is streamed, the response is complete when the promise resolves, so the caller's time limit covers its body too.
 * Rejects with SgpoError (TEACHER.URL_NOT_ALLOWED), MalformedAnswer, or the system's error.
 */
export function createGuardedFetch({ allowedHosts, resolve = resolveHost, streamIdleMs }: GuardedFetchOptions): typeof fetch {
  const agents = { 'http:': new HttpAgent({ keepAlive: true }), 'https:': new HttpsAgent({ keepAlive: true }) };

  return async (input, init = {}) => {
    const url = new URL(input instanceof Request ? input.url : String(input));
    // The base may hold no query; a request for one page of a list does.
    const bare = new URL(url);
    bare.search = '';
    parseTeacherUrl(bare.href, allowedHosts);
    const { body, signal } = init;
    const headers = new Headers(init.headers);
    headers.set('accept-encoding', 'identity');
    const form = body instanceof FormData ? encodeForm(body) : null;
    if (form !== null) {
      headers.set('content-type', form.contentType);
      headers.set('content-length', String(form.content.size));
    } else if (body !== undefined && body !== null && typeof body !== 'string') throw new TypeError('the body must be text or a form');
    const settings = { method: init.method ?? 'GET', headers: Object.fromEntries(headers), lookup: guardedLookup(url, allowedHosts, resolve), ...(signal === undefined || signal === null ? {} : { signal }) };

    return new Promise<Response>((done, fail) => {
      const request = url.protocol === 'https:' ? requestHttps(url, { ...settings, agent: agents['https:'] }) : requestHttp(url, { ...settings, agent: agents['http:'] });
      request.on('error', fail);
      request.on('response', (response) => {
        if (streamIdleMs !== undefined) response.setTimeout(streamIdleMs, () => { response.destroy(Object.assign(new Error('the body stalled'), { code: 'ETIMEDOUT' })); });
        readResponse(url, response, streamIdleMs !== undefined).then(done, (error: unknown) => { response.destroy(); fail(error); });
      });
      if (form === null) request.end(typeof body === 'string' ? body : undefined);
      else Readable.fromWeb(form.content.stream()).on('error', (error) => { request.destroy(error); }).pipe(request);
    });
  };
}

/** Name resolution of one request, for node's `lookup` option: every address it hands to the connection has passed the guard. */
function guardedLookup(url: URL, allowedHosts: readonly string[], resolve: Resolve): LookupFunction {
  const checked = async (hostname: string): Promise<readonly ResolvedAddress[]> => {
    const addresses = await resolve(hostname);
    if (!isAllowedHost(url, allowedHosts)) refuseClosed(url, addresses);
    return addresses;
  };
  return (hostname, options, callback) => {
    checked(hostname).then((addresses) => {
      const [first] = addresses;
      if (first === undefined) callback(Object.assign(new Error(`${hostname} has no address`), { code: 'ENOTFOUND' }), '');
      else if (options.all === true) callback(null, [...addresses]);
      else callback(null, first.address, first.family);
    }, (error: unknown) => { callback(error instanceof Error ? error : new Error('the name cannot be resolved', { cause: error }), ''); });
  };
}

async function readResponse(url: URL, response: IncomingMessage, streamed: boolean): Promise<Response> {
  const status = response.statusCode ?? 0;
  if (status >= 300 && status < 400) throw notAllowed(showUrl(url), `answers with a redirect (HTTP ${String(status)})`, 'Set teacher.baseUrl to the final address');
  const encoding = response.headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity') throw new MalformedAnswer(`the body is encoded as "${encoding}", which was not asked for`);
  if (status < 200 || status > 599) throw new MalformedAnswer(`the status is ${String(status)}`);
  const headers = new Headers();
  for (const [name, value] of Object.entries(response.headers)) {
    if (value !== undefined) headers.set(name, Array.isArray(value) ? value.join(', ') : value);
  }
  const bodiless = status === 204 || status === 205;
  if (streamed && status === 200) return new Response(Readable.toWeb(response) as ReadableStream<Uint8Array>, { status, headers });
  const content = await readBody(response);
  return new Response(bodiless ? null : content, { status, headers });
}

async function readBody(response: IncomingMessage): Promise<Buffer<ArrayBuffer>> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBodyBytes) throw new MalformedAnswer(`the body is larger than ${String(maxBodyBytes)} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
