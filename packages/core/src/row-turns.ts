/** Conversations of a row: reading them, and what a conversation must be. */
import { drop, isDrop, type DroppedRow } from './row-drops.ts';
import { isRecord } from './row-layout.ts';
import { isBlank, isStorable, maxTextLength } from './row-text.ts';
import type { Message } from './spec.ts';

export type Turns = readonly Message[];

/** Role names of the formats in use; `from`/`value` rows call the user human and the assistant gpt. */
const roles: Readonly<Record<string, Message['role']>> = { system: 'system', user: 'user', human: 'user', assistant: 'assistant', gpt: 'assistant' };

/** A text is one turn of `role`; a list is a conversation. */
export function readTurns(value: unknown, field: string, role: Message['role']): Turns | DroppedRow {
  if (typeof value === 'string') return [{ role, content: value }];
  if (!Array.isArray(value)) return drop('not_text', `${field} is neither text nor a list of messages`);
  const items: readonly unknown[] = value;
  const turns: Message[] = [];
  for (const [index, item] of items.entries()) {
    const at = `${field}[${String(index)}]`;
    if (!isRecord(item)) return drop('not_text', `${at} is not a message`);
    const name = item['role'] ?? item['from'];
    const content = item['content'] ?? item['value'];
    const known = typeof name === 'string' && Object.hasOwn(roles, name) ? roles[name] : undefined;
    if (known === undefined) return drop('unknown_role', `${at}.role is ${describe(name)}; use system, user or assistant`);
    if (typeof content !== 'string') return drop('not_text', `${at}.content is not text`);
    turns.push({ role: known, content });
  }
  return turns;
}

const describe = (value: unknown): string => (typeof value === 'string' ? JSON.stringify(value.slice(0, 40)) : typeof value);

/** Two parts of one conversation. */
export function joinTurns(first: Turns | DroppedRow, second: Turns | DroppedRow): Turns | DroppedRow {
  if (isDrop(first)) return first;
  return isDrop(second) ? second : [...first, ...second];
}

/**
 * A conversation as it is taken, or the first reason against it: it ends on an assistant turn, turns alternate, only the first may be the
 * system's. A blank system turn says nothing and is left out. Texts are taken as they are, never trimmed.
 */
export function checkTurns(all: Turns): Turns | DroppedRow {
  const turns = all.filter(({ role, content }, index) => index > 0 || role !== 'system' || !isBlank(content));
  const last = turns.at(-1);
  if (last === undefined) return drop('empty_prompt', 'there is no message');
  if (!turns.some(({ role }) => role === 'user')) return drop('empty_prompt', 'no user turn stands before the response');
  const first = turns[0]?.role === 'system' ? 1 : 0;
  for (const [index, { role }] of turns.entries()) {
    if (index < first) continue;
    const expected = (index - first) % 2 === 0 ? 'user' : 'assistant';
    if (role !== expected) return drop('bad_turn_order', `turn ${String(index)} is the ${role}'s; it must be the ${expected}'s`);
  }
  if (last.role !== 'assistant') return drop('ends_on_user', 'nothing answers the last turn');
  return checkTexts(turns) ?? turns;
}

function checkTexts(turns: Turns): DroppedRow | null {
  for (const [index, { role, content }] of turns.entries()) {
    if (content.length > maxTextLength) return drop('text_too_long', `turn ${String(index)} has ${String(content.length)} characters, over ${String(maxTextLength)}`);
    if (!isStorable(content)) return drop('invalid_unicode', `turn ${String(index)} holds a lone surrogate or NUL`);
    if (!isBlank(content)) continue;
    if (role === 'user') return drop('empty_prompt', `turn ${String(index)} of the user is blank`);
    return drop('empty_response', index === turns.length - 1 ? 'the response is blank' : `turn ${String(index)} of the assistant is blank`);
  }
  return null;
}
