import type { Message } from '@sgpo/core';
import { dropReasonOf, type Completion, type DropReason } from './completion.ts';
import { ledgerKey, type AnswerOptions, type Ledger, type LedgerAnswer } from './ledger.ts';

/** `sample` tells apart several answers to the same messages; with a seed, seed + sample is sent. */
export interface TeacherRequest { readonly id: string; readonly messages: readonly Message[]; readonly sample: number }

export type TeacherRequests = AsyncIterable<TeacherRequest> | Iterable<TeacherRequest>;

export interface TeacherAnswer {
  /** Without trailing white space. */
  readonly text: string;
  /** stop, length, content_filter or another word of the server; `refusal`: the model declined; `rejected` and `failed`: there is no answer, and none in the ledger. */
  readonly finishReason: string;
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** Came from the ledger: nothing was paid. */
  readonly reused: boolean;
  /** null for an answer that can be used. */
  readonly dropReason: DropReason | null;
}

/** A row the teacher has no answer for. */
export const noAnswer = (dropReason: 'teacher_rejected' | 'teacher_failed'): TeacherAnswer =>
  ({ text: '', finishReason: dropReason === 'teacher_rejected' ? 'rejected' : 'failed', promptTokens: 0, completionTokens: 0, reused: false, dropReason });

export const answerOf = (entry: LedgerAnswer, reused: boolean): TeacherAnswer => ({ ...entry, reused, dropReason: dropReasonOf(entry) });

export function ledgerEntryOf({ text, finishReason, tokens }: Completion): LedgerAnswer {
  return { text, finishReason, promptTokens: tokens?.prompt ?? 0, completionTokens: tokens?.completion ?? 0 };
}

export interface KnownRequest<Request> { readonly request: Request; readonly key: string; /** null: not in the ledger. */ readonly entry: LedgerAnswer | null }

const blockSize = 256;

/** Looks requests up in the ledger, a block at a time, in their order. */
export async function* lookUp<Request extends TeacherRequest>(options: AnswerOptions, ledger: Ledger, requests: AsyncIterable<Request> | Iterable<Request>): AsyncGenerator<readonly KnownRequest<Request>[]> {
  let block: { request: Request; key: string }[] = [];
  async function known(): Promise<readonly KnownRequest<Request>[]> {
    const entries = await ledger.find([...new Set(block.map(({ key }) => key))]);
    return block.map(({ request, key }) => ({ request, key, entry: entries.get(key) ?? null }));
  }
  for await (const request of requests) {
    block.push({ request, key: ledgerKey(options, request.messages, request.sample) });
    if (block.length < blockSize) continue;
    yield await known();
    block = [];
  }
  if (block.length > 0) yield await known();
}
