import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { EndpointTeacher } from '@sgpo/core';
import type { BatchStore } from '../batch-store.ts';
import type { Ledger, LedgerAnswer } from '../ledger.ts';
import type { Sleep } from '../waiting.ts';

/** What the tests share: a real HTTP server that follows a script, a ledger in memory, options. */

interface SentBody { readonly model: string; readonly messages: readonly { readonly role: string; readonly content: string }[]; readonly [name: string]: unknown }
interface Received { readonly path: string; readonly headers: IncomingMessage['headers']; readonly body: SentBody }
/** Answers the nth request, counted from 0. */
export type Script = (nth: number, received: Received, response: ServerResponse) => void | Promise<void>;

export interface ScriptedServer extends AsyncDisposable { readonly url: string; readonly port: number; readonly received: Received[]; readonly busiest: () => number }

export async function startServer(script: Script): Promise<ScriptedServer> {
  const received: Received[] = [];
  let open = 0;
  let most = 0;
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => { chunks.push(chunk); });
    request.on('end', () => {
      open += 1;
      most = Math.max(most, open);
      response.on('close', () => { open -= 1; });
      const text = Buffer.concat(chunks).toString('utf8');
      const entry: Received = { path: request.url ?? '', headers: request.headers, body: (text === '' ? {} : JSON.parse(text)) as SentBody };
      received.push(entry);
      void script(received.length - 1, entry, response);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${String(port)}/v1`, port, received, busiest: () => most,
    [Symbol.asyncDispose]: async () => { server.closeAllConnections(); server.close(); await once(server, 'close'); },
  };
}

export function sendJson(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(body));
}

export function completion(content: unknown, rest: { readonly finishReason?: unknown; readonly refusal?: string; readonly usage?: unknown } = {}): unknown {
  return {
    id: 'chatcmpl-1', object: 'chat.completion', created: 1, model: 'tiny',
    choices: [{ index: 0, finish_reason: rest.finishReason ?? 'stop', message: { role: 'assistant', content, refusal: rest.refusal ?? null } }],
    usage: rest.usage ?? { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 },
  };
}

/** Repeats the last message: each answer names its request. */
export const echo: Script = (_nth, { body }, response) => { sendJson(response, 200, completion(`echo ${body.messages.at(-1)?.content ?? ''}`)); };

export function memoryLedger(): Ledger & { readonly answers: Map<string, LedgerAnswer> } {
  const answers = new Map<string, LedgerAnswer>();
  return {
    answers,
    find: (keys) => Promise.resolve(new Map(keys.flatMap((key) => { const answer = answers.get(key); return answer === undefined ? [] : [[key, answer] as const]; }))),
    record: (key, _model, answer) => { if (!answers.has(key)) answers.set(key, answer); return Promise.resolve(); },
  };
}

/** Batches in memory, as the database keeps them. */
export function memoryBatches(): BatchStore & { readonly rows: { id: string; key: string; batchId: string | null; requests: number; state: 'open' | 'collected' | 'failed'; createdAt: Date }[] } {
  const rows: { id: string; key: string; batchId: string | null; requests: number; state: 'open' | 'collected' | 'failed'; createdAt: Date }[] = [];
  const row = (id: string) => { const found = rows.find((one) => one.id === id); if (found === undefined) throw new Error(`no batch ${id}`); return found; };
  return {
    rows,
    open: (key) => Promise.resolve(rows.filter((one) => one.key === key && one.state === 'open').map((one) => ({ ...one }))),
    begin: ({ key, requests }) => { rows.push({ id: `row-${String(rows.length)}`, key, batchId: null, requests, state: 'open', createdAt: new Date() }); return Promise.resolve(`row-${String(rows.length - 1)}`); },
    submitted: (id, { batchId }) => { row(id).batchId = batchId; return Promise.resolve(); },
    close: (id, state) => { row(id).state = state; return Promise.resolve(); },
  };
}

export const optionsFor = (baseUrl: string, changes: Partial<EndpointTeacher> = {}): EndpointTeacher => ({
  source: 'endpoint', baseUrl, model: 'tiny', weights: null, apiKey: null, temperature: 0.7, topP: 0.9, maxTokens: 64, seed: null, mode: 'requests', concurrency: 4,
  timeoutSeconds: 5, maxAttempts: 3, limits: { requestsPerMinute: null, tokensPerMinute: null }, price: null, budget: { tokens: null, cost: null }, ...changes,
});

/** Notes the pauses instead of making them. */
export function recordSleep(): { readonly sleep: Sleep; readonly pauses: number[] } {
  const pauses: number[] = [];
  return { pauses, sleep: (ms) => { pauses.push(ms); return Promise.resolve(); } };
}

export const user = (content: string): readonly [{ readonly role: 'user'; readonly content: string }] => [{ role: 'user', content }];
export const never: AbortSignal = new AbortController().signal;
