/** Rows of data sets in canonical form: which format a file has, what a row says, and why a row is left out. */
import { hashCanonical } from './canonical-hash.ts';
import type { Message } from './spec.ts';

/** First 16 hex digits of the sha256 of the prompt's canonical JSON; only role and content enter. */
export function promptId(prompt: readonly Message[]): string {
  return hashCanonical(prompt.map(({ role, content }) => ({ role, content }))).slice(0, 16);
}

/**
 * - `preference-messages`: chosen and rejected conversations (dpo-mix-7k); the response is the chosen side's last turn.
 * - `ultrafeedback`: the same beside a prompt column.
 * - `prompt-response`: prompt + response | completion | reference, or instruction (+ input) + output.
 * - `messages`: one conversation (`messages`, or `conversations` with from/value); the response is its last turn.
 */
export type DatasetFormat = 'preference-messages' | 'ultrafeedback' | 'prompt-response' | 'messages';

/** The format with these columns, or null. Columns it does not need are allowed. */
export function detectFormat(columns: readonly string[]): DatasetFormat | null {
  const has = (...names: readonly string[]): boolean => names.every((name) => columns.includes(name));
  if (has('chosen', 'rejected')) return has('prompt') ? 'ultrafeedback' : 'preference-messages';
  if (has('prompt') && responseColumns.some((name) => has(name))) return 'prompt-response';
  if (has('messages') || has('conversations')) return 'messages';
  if (has('instruction', 'output')) return 'prompt-response';
  return null;
}
const responseColumns = ['response', 'completion', 'reference'] as const;

export type RowDropReason = 'empty_prompt' | 'empty_response' | 'unknown_role' | 'ends_on_user' | 'bad_turn_order' | 'not_text' | 'invalid_unicode';
export interface DroppedRow<Reason extends string = string> { readonly dropReason: Reason; readonly detail: string }
export interface NormalRow { readonly prompt: readonly Message[]; readonly response: string }

/**
 * Prompt and response of a raw row (plain JSON values), or the first reason against it. The prompt ends on a user turn, turns alternate,
 * and only the first may be the system's; a blank system turn says nothing and is left out. Texts are taken as they are, never trimmed.
 */
export function normaliseRow(format: DatasetFormat, raw: unknown): NormalRow | DroppedRow<RowDropReason> {
  if (!isRecord(raw)) return drop('not_text', 'the row is not an object');
  const turns = readTurns(format, raw);
  return isDrop(turns) ? turns : splitTurns(turns);
}

type Turns = readonly Message[];
const drop = <Reason extends RowDropReason>(dropReason: Reason, detail: string): DroppedRow<Reason> => ({ dropReason, detail });
const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === 'object' && value !== null && !Array.isArray(value);
const isDrop = (value: Turns | DroppedRow<RowDropReason>): value is DroppedRow<RowDropReason> => 'dropReason' in value;

function readTurns(format: DatasetFormat, raw: Readonly<Record<string, unknown>>): Turns | DroppedRow<RowDropReason> {
  switch (format) {
    case 'messages': {
      const field = 'messages' in raw ? 'messages' : 'conversations';
      return readMessages(raw[field], field, 'assistant');
    }
    case 'preference-messages': return readMessages(raw['chosen'], 'chosen', 'assistant');
    case 'ultrafeedback': {
      const chosen = readMessages(raw['chosen'], 'chosen', 'assistant');
      // A chosen side of several turns carries its own prompt, system turn included; the column holds only the first user turn then.
      if (isDrop(chosen) || chosen.length !== 1) return chosen;
      return join(readMessages(raw['prompt'], 'prompt', 'user'), chosen);
    }
    case 'prompt-response': {
      if (!('prompt' in raw)) return join(readInstruction(raw), readMessages(raw['output'], 'output', 'assistant'));
      const field = responseColumns.find((name) => raw[name] !== undefined && raw[name] !== null) ?? 'response';
      return join(readMessages(raw['prompt'], 'prompt', 'user'), readMessages(raw[field], field, 'assistant'));
    }
  }
}

function join(prompt: Turns | DroppedRow<RowDropReason>, response: Turns | DroppedRow<RowDropReason>): Turns | DroppedRow<RowDropReason> {
  if (isDrop(prompt)) return prompt;
  if (isDrop(response)) return response;
  return [...prompt, ...response];
}

/** instruction, and input below it when there is one. */
function readInstruction(raw: Readonly<Record<string, unknown>>): Turns | DroppedRow<RowDropReason> {
  const { instruction, input = '' } = raw;
  if (typeof instruction !== 'string') return drop('not_text', 'instruction is not text');
  if (input !== null && typeof input !== 'string') return drop('not_text', 'input is not text');
  return [{ role: 'user', content: input === null || input.trim() === '' ? instruction : `${instruction}\n\n${input}` }];
}

/** Role names of the formats in use; `from`/`value` rows call the user human and the assistant gpt. */
const roles: Readonly<Record<string, Message['role']>> = { system: 'system', user: 'user', human: 'user', assistant: 'assistant', gpt: 'assistant' };

/** A text is one turn of `role`; a list is a conversation. */
function readMessages(value: unknown, field: string, role: Message['role']): Turns | DroppedRow<RowDropReason> {
  if (typeof value === 'string') return [{ role, content: value }];
  if (!Array.isArray(value)) return drop('not_text', `${field} is neither text nor a list of messages`);
  const items: readonly unknown[] = value;
  const turns: Message[] = [];
  for (const [index, item] of items.entries()) {
    const at = `${field}[${String(index)}]`;
    if (!isRecord(item)) return drop('not_text', `${at} is not a message`);
    const name = item['role'] ?? item['from'];
    const content = item['content'] ?? item['value'];
    if (typeof name !== 'string' || !Object.hasOwn(roles, name)) return drop('unknown_role', `${at}.role is ${describe(name)}; use system, user or assistant`);
    if (typeof content !== 'string') return drop('not_text', `${at}.content is not text`);
    turns.push({ role: roles[name] ?? 'user', content });
  }
  return turns;
}

const describe = (value: unknown): string => (typeof value === 'string' ? JSON.stringify(value.slice(0, 40)) : typeof value);

function splitTurns(all: Turns): NormalRow | DroppedRow<RowDropReason> {
  const turns = all.filter(({ role, content }, index) => index > 0 || role !== 'system' || content.trim() !== '');
  const last = turns.at(-1);
  if (last === undefined) return drop('empty_prompt', 'there is no message');
  if (last.role === 'user') return drop('ends_on_user', 'the last turn is the user\'s; nothing answers it');
  const prompt = turns.slice(0, -1);
  if (!prompt.some(({ role }) => role === 'user')) return drop('empty_prompt', 'no user turn stands before the response');
  const first = prompt[0]?.role === 'system' ? 1 : 0;
  for (const [index, { role }] of turns.entries()) {
    if (index < first) continue;
    const expected = (index - first) % 2 === 0 ? 'user' : 'assistant';
    if (role !== expected) return drop('bad_turn_order', `turn ${String(index)} is the ${role}'s; it must be the ${expected}'s`);
  }
  const blank = prompt.findIndex(({ role, content }) => role === 'user' && content.trim() === '');
  if (blank >= 0) return drop('empty_prompt', `turn ${String(blank)} of the user is blank`);
  if (last.content.trim() === '') return drop('empty_response', 'the response is blank');
  const broken = turns.findIndex(({ content }) => !isStorable(content));
  if (broken >= 0) return drop('invalid_unicode', `turn ${String(broken)} holds a lone surrogate or NUL`);
  return { prompt, response: last.content };
}

/** False for text that UTF-8 or a database cannot hold: lone surrogates, NUL. */
export const isStorable = (text: string): boolean => text.isWellFormed() && !text.includes('\0');

/** rowsIn = rowsOut + Σ dropped, always. */
export interface IngestCounts { readonly rowsIn: number; readonly rowsOut: number; readonly dropped: Readonly<Record<string, number>> }
export interface IngestedRow extends NormalRow { readonly id: string; readonly pos: number }
export type IngestDropReason = RowDropReason | 'duplicate_prompt' | 'shared_prompt' | 'over_limit';

export interface Ingest {
  /** Takes the next row of the file. `pos` counts the kept rows from 0. */
  accept(format: DatasetFormat, raw: unknown): IngestedRow | DroppedRow<IngestDropReason>;
  counts(): IngestCounts;
}

/**
 * Goes through a data set in file order. `limit`: how many rows are kept; all that follow are `over_limit`, unread. `against`: ids of another
 * set's prompts, which are left out here (`shared_prompt`). Of rows with one prompt the first stays. Memory: one id a kept row.
 */
export function createIngest(options: { readonly limit: number | null; readonly against: ReadonlySet<string> | null }): Ingest {
  const seen = new Set<string>();
  const dropped: Partial<Record<IngestDropReason, number>> = {};
  let rowsIn = 0;

  function decide(format: DatasetFormat, raw: unknown): IngestedRow | DroppedRow<IngestDropReason> {
    if (options.limit !== null && seen.size >= options.limit) return { dropReason: 'over_limit', detail: `${String(options.limit)} rows are kept already` };
    const row = normaliseRow(format, raw);
    if ('dropReason' in row) return row;
    const id = promptId(row.prompt);
    if (seen.has(id)) return { dropReason: 'duplicate_prompt', detail: `an earlier row has the prompt ${id}` };
    if (options.against?.has(id) === true) return { dropReason: 'shared_prompt', detail: `the other data set has the prompt ${id}` };
    const pos = seen.size;
    seen.add(id);
    return { id, pos, ...row };
  }

  return {
    accept(format, raw) {
      rowsIn += 1;
      const result = decide(format, raw);
      if ('dropReason' in result) dropped[result.dropReason] = (dropped[result.dropReason] ?? 0) + 1;
      return result;
    },
    counts: () => ({ rowsIn, rowsOut: seen.size, dropped: { ...dropped } }),
  };
}
