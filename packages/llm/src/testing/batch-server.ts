import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A real HTTP server that speaks the part of OpenAI's API a teacher uses: chat completions, files, batches. Deterministic; counts what it answers; fails as told. */

interface ChatRequest { readonly model: string; readonly messages: readonly { readonly role: string; readonly content: string }[]; readonly [name: string]: unknown }

/** What becomes of one request of a batch; an object: its response. */
export type RowOutcome = 'answer' | 'rejected' | 'server_error' | 'missing' | 'malformed' | 'twice' | { readonly status: number; readonly body: unknown };
type BatchEnd = 'completed' | 'expired' | 'cancelled' | { readonly errors: readonly { readonly code: string; readonly message: string; readonly line?: number }[] };
/**
 * reset: nothing is done, and the connection breaks. stall: nothing is done, and no answer comes. swallow: all is done, and the connection breaks.
 * cut: half of the answer comes, and the connection breaks. pause: half of the answer comes, and then nothing.
 */
export type Fault = 'reset' | 'swallow' | 'stall' | 'cut' | 'pause' | { readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly body?: unknown };

export interface BatchServerOptions {
  /** Text of the answer; default: `echo` and the last message. */
  readonly answer?: (request: ChatRequest) => string;
  readonly outcome?: (row: { readonly customId: string; readonly request: ChatRequest; /** From 0. */ readonly batch: number }) => RowOutcome;
  readonly end?: (batch: number) => BatchEnd;
  /** Asked before every request; `nth` counts those of the same kind from 0. */
  readonly fault?: (request: { readonly kind: RequestKind; readonly nth: number }) => Fault | null;
  /** How many times a batch is looked at before it ends; Infinity: only cancelling ends it. */
  readonly polls?: (batch: number) => number;
}

export type RequestKind = 'chat' | 'upload' | 'content' | 'create' | 'retrieve' | 'cancel' | 'list';

interface ServedBatch { readonly id: string; readonly metadata: unknown; readonly requests: number; status: string; readonly customIds: readonly string[] }

export interface BatchServer extends AsyncDisposable {
  readonly url: string;
  readonly batches: readonly ServedBatch[];
  /** How often each request was answered, and so paid: by custom_id in batches, by the last message in chat calls. */
  readonly paid: ReadonlyMap<string, number>;
  /** Requests of a kind so far. */
  count(kind: RequestKind): number;
  /** The files as they came. */
  readonly uploads: readonly { readonly name: string; readonly purpose: string; readonly text: string }[];
}

interface Batch extends ServedBatch { readonly nth: number; readonly inputFile: string; readonly createdAt: number; looks: number; output: string | null; error: string | null; errors: unknown; done: number }

export async function startBatchServer(options: BatchServerOptions = {}): Promise<BatchServer> {
  const { answer = ({ messages }) => `echo ${messages.at(-1)?.content ?? ''}`, outcome = () => 'answer', end = () => 'completed', fault = () => null, polls = () => 1 } = options;
  const files = new Map<string, string>();
  const uploads: { name: string; purpose: string; text: string }[] = [];
  const batches: Batch[] = [];
  const paid = new Map<string, number>();
  const counts = new Map<RequestKind, number>();
  const pay = (key: string): void => { paid.set(key, (paid.get(key) ?? 0) + 1); };

  function completion(request: ChatRequest): unknown {
    return {
      id: 'chatcmpl-1', object: 'chat.completion', created: 1, model: request.model,
      choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content: answer(request), refusal: null } }],
      usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 },
    };
  }

  /** Works the batch off: as far as `share` of its requests. */
  function work(batch: Batch, share: number): void {
    const rows = (files.get(batch.inputFile) ?? '').split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as { custom_id: string; body: ChatRequest });
    const good: string[] = [];
    const bad: string[] = [];
    for (const { custom_id: customId, body: request } of rows.slice(0, Math.ceil(rows.length * share))) {
      const result = outcome({ customId, request, batch: batch.nth });
      const line = (status: number, body: unknown): string => JSON.stringify({ id: `response-${customId}`, custom_id: customId, response: { status_code: status, request_id: 'r', body }, error: null });
      if (typeof result === 'object') { (result.status === 200 ? good : bad).push(line(result.status, result.body)); continue; }
      if (result === 'answer' || result === 'twice' || result === 'malformed') pay(customId);
      if (result === 'answer') good.push(line(200, completion(request)));
      if (result === 'twice') good.push(line(200, completion(request)), line(200, completion({ ...request, messages: [{ role: 'user', content: 'another' }] })), line(200, completion(request)).replace(customId, 'nobody'));
      if (result === 'malformed') good.push('{"custom_id":', '[]', '', 'null');
      if (result === 'rejected') bad.push(line(400, { error: { message: 'context too long', code: 'context_length_exceeded' } }));
      if (result === 'server_error') bad.push(line(500, { error: { message: 'The server had an error' } }));
    }
    const store = (suffix: string, lines: readonly string[]): string | null => {
      if (lines.length === 0) return null;
      files.set(`file-${batch.id}-${suffix}`, `${lines.join('\n')}\n`);
      return `file-${batch.id}-${suffix}`;
    };
    batch.output = store('output', good);
    batch.error = store('error', bad);
    batch.done = rows.length;
  }

  function look(batch: Batch): void {
    if (batch.status === 'cancelling') { work(batch, 0.5); batch.status = 'cancelled'; }
    if (['completed', 'failed', 'expired', 'cancelled'].includes(batch.status)) return;
    batch.looks += 1;
    if (batch.looks <= polls(batch.nth)) { batch.status = 'in_progress'; return; }
    const ended = end(batch.nth);
    if (typeof ended === 'object') { batch.status = 'failed'; batch.errors = { object: 'list', data: ended.errors }; return; }
    work(batch, ended === 'completed' ? 1 : 0.5);
    batch.status = ended;
  }

  const show = (batch: Batch): unknown => ({
    id: batch.id, object: 'batch', endpoint: '/v1/chat/completions', input_file_id: batch.inputFile, completion_window: '24h', status: batch.status, created_at: batch.createdAt, metadata: batch.metadata,
    output_file_id: batch.output, error_file_id: batch.error, errors: batch.errors, request_counts: { total: batch.requests, completed: batch.done, failed: 0 },
  });

  interface Reply { readonly status: number; readonly body: string }
  const json = (body: unknown, status = 200): Reply => ({ status, body: JSON.stringify(body) });
  const unknown = json({ error: { message: 'No such thing' } }, 404);

  async function serve(kind: RequestKind, url: URL, request: IncomingMessage, body: Buffer): Promise<Reply> {
    const [, , , id = ''] = url.pathname.split('/');
    const batch = batches.find((one) => one.id === id);
    switch (kind) {
      case 'chat': {
        const asked = JSON.parse(body.toString('utf8')) as ChatRequest;
        pay(asked.messages.at(-1)?.content ?? '');
        return json(completion(asked));
      }
      case 'upload': {
        const form = await new Response(new Uint8Array(body), { headers: { 'content-type': request.headers['content-type'] ?? '' } }).formData();
        const file = form.get('file') as File;
        const text = await file.text();
        uploads.push({ name: file.name, purpose: form.get('purpose') as string, text });
        files.set(`file-${String(files.size)}`, text);
        return json({ id: `file-${String(files.size - 1)}`, object: 'file', bytes: file.size, filename: file.name, purpose: 'batch' });
      }
      case 'create': {
        const { input_file_id: inputFile, metadata } = JSON.parse(body.toString('utf8')) as { input_file_id: string; metadata: unknown };
        const customIds = (files.get(inputFile) ?? '').split('\n').filter((line) => line !== '').map((line) => (JSON.parse(line) as { custom_id: string }).custom_id);
        const made: Batch = {
          id: `batch_${String(batches.length)}`, nth: batches.length, inputFile, metadata, requests: customIds.length, customIds, status: 'validating', createdAt: Math.floor(Date.now() / 1000),
          looks: 0, output: null, error: null, errors: null, done: 0,
        };
        batches.push(made);
        return json(show(made));
      }
      case 'list': {
        const newest = batches.toReversed();
        const from = newest.findIndex((one) => one.id === url.searchParams.get('after')) + 1;
        const page = newest.slice(from, from + Number(url.searchParams.get('limit') ?? '20'));
        return json({ object: 'list', data: page.map(show), has_more: from + page.length < newest.length });
      }
      case 'retrieve':
        if (batch === undefined) return unknown;
        look(batch);
        return json(show(batch));
      case 'cancel':
        if (batch === undefined) return unknown;
        if (batch.status === 'completed') return json({ error: { message: 'Cannot cancel a batch with status completed' } }, 409);
        batch.status = 'cancelling';
        return json(show(batch));
      case 'content': {
        const text = files.get(id);
        return text === undefined ? unknown : { status: 200, body: text };
      }
    }
  }

  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => { chunks.push(chunk); });
    request.on('end', () => {
      const url = new URL(request.url ?? '/', 'http://localhost');
      const kind = kindOf(request.method ?? 'GET', url.pathname);
      if (kind === null) { reply(response, unknown); return; }
      const nth = counts.get(kind) ?? 0;
      counts.set(kind, nth + 1);
      const planned = fault({ kind, nth });
      if (planned === 'stall') return;
      if (planned === 'reset') { response.socket?.resetAndDestroy(); return; }
      if (typeof planned === 'object' && planned !== null) { reply(response, json(planned.body ?? { error: { message: 'as planned' } }, planned.status), planned.headers); return; }
      void serve(kind, url, request, Buffer.concat(chunks)).then((answered) => {
        if (planned === null) reply(response, answered);
        else if (planned === 'swallow') response.socket?.resetAndDestroy();
        else {
          const text = Buffer.from(answered.body);
          response.writeHead(answered.status, { 'content-type': 'application/json', 'content-length': text.length });
          response.write(text.subarray(0, Math.ceil(text.length / 2)), () => { if (planned === 'cut') response.socket?.resetAndDestroy(); });
        }
      });
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${String((server.address() as AddressInfo).port)}/v1`, batches, paid, uploads, count: (kind) => counts.get(kind) ?? 0,
    [Symbol.asyncDispose]: async () => { server.closeAllConnections(); server.close(); await once(server, 'close'); },
  };
}

function reply(response: ServerResponse, { status, body }: { readonly status: number; readonly body: string }, headers: Readonly<Record<string, string>> = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body);
}

function kindOf(method: string, path: string): RequestKind | null {
  const patterns: readonly (readonly [RequestKind, string, RegExp])[] = [
    ['chat', 'POST', /^\/v1\/chat\/completions$/], ['upload', 'POST', /^\/v1\/files$/], ['content', 'GET', /^\/v1\/files\/[^/]+\/content$/],
    ['create', 'POST', /^\/v1\/batches$/], ['list', 'GET', /^\/v1\/batches$/], ['retrieve', 'GET', /^\/v1\/batches\/[^/]+$/], ['cancel', 'POST', /^\/v1\/batches\/[^/]+\/cancel$/],
  ];
  return patterns.find(([, verb, pattern]) => verb === method && pattern.test(path))?.[0] ?? null;
}
