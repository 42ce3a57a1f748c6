/** Reads the body of a chat completion. Bodies come from any server that says it speaks the protocol, so nothing about them is taken for granted. */

/**
 * Why a row gets no answer: the model declined, it said nothing, the server would not take this one request, or none of the batches it was asked
 * in brought its answer.
 */
export type DropReason = 'teacher_refused' | 'teacher_empty' | 'teacher_rejected' | 'teacher_failed';

export interface Completion {
  /** Without trailing white space; all else as the teacher wrote it. */
  readonly text: string;
  /** The server's own word (stop, length, content_filter, …), or `refusal` when the message holds one. */
  readonly finishReason: string;
  /** null when the server did not count. */
  readonly tokens: { readonly prompt: number; readonly completion: number } | null;
}

/** The body has not the shape of the protocol; the message says what is wrong with it. */
export class MalformedAnswer extends Error {
  override readonly name = 'MalformedAnswer';
}

/** The first choice of a completion. Throws MalformedAnswer. */
export function readCompletion(body: unknown): Completion {
  if (typeof body === 'string') throw new MalformedAnswer(`the body is not JSON: ${body}`);
  if (!isObject(body)) throw new MalformedAnswer('the body is not a JSON object');
  const choices = body['choices'];
  if (!Array.isArray(choices)) throw new MalformedAnswer(`"choices" is no list: ${JSON.stringify(body)}`);
  const choice: unknown = choices[0];
  if (!isObject(choice)) throw new MalformedAnswer('"choices" is empty');
  const message = choice['message'];
  if (!isObject(message)) throw new MalformedAnswer('"choices[0].message" is missing');
  const content = message['content'] ?? '';
  if (typeof content !== 'string') throw new MalformedAnswer('"choices[0].message.content" is not text');
  const finishReason = choice['finish_reason'];
  if (typeof finishReason !== 'string') throw new MalformedAnswer('"choices[0].finish_reason" is not text');
  const refusal = message['refusal'];
  const refused = typeof refusal === 'string' && refusal !== '';
  return { text: content.trimEnd(), finishReason: refused ? 'refusal' : finishReason, tokens: readTokens(body['usage']) };
}

/** null for an answer that can be used. Also tells it for an answer out of the ledger. */
export function dropReasonOf({ text, finishReason }: Pick<Completion, 'text' | 'finishReason'>): DropReason | null {
  if (finishReason === 'refusal' || finishReason === 'content_filter') return 'teacher_refused';
  return text === '' ? 'teacher_empty' : null;
}

/** No answer takes more: a server that says so has not counted. */
const believableTokens = 1_000_000_000;

function readTokens(usage: unknown): Completion['tokens'] {
  if (!isObject(usage)) return null;
  const prompt = usage['prompt_tokens'];
  const completion = usage['completion_tokens'];
  return isCount(prompt) && isCount(completion) && prompt + completion <= believableTokens ? { prompt, completion } : null;
}

export const isObject = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === 'object' && value !== null && !Array.isArray(value);
export const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0;
