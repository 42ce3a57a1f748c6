import type { UnreadRowReason } from '@sgpo/core';

/** A row's text as a value, or why it is none. `detail` goes on from "line 3 …" and never holds the text. */
export type ParsedText = { readonly value: unknown } | { readonly reason: UnreadRowReason; readonly detail: string };

const deepest = 64;

/**
 * Parses the JSON of one row. NaN and Infinity, as Python writes them, become infinite numbers, for whoever reads a score to find. What JSON.parse
 * lets pass and other readers understand otherwise is a reason: keys named twice, `__proto__`, `prototype` of a `constructor`, deep nesting.
 */
export function parseRowText(text: string): ParsedText {
  const parsed = parse(text);
  return 'value' in parsed ? scan(text) ?? parsed : parsed;
}

function parse(text: string): ParsedText {
  try {
    return { value: JSON.parse(text) };
  } catch (error) {
    const finite = text.includes('NaN') || text.includes('Infinity') ? withoutInfinities(text) : text;
    return finite === text ? { reason: 'malformed_line', detail: `is not JSON: it ${jsonReason(error)}` } : parse(finite);
  }
}

/** Why `JSON.parse` refused a text, without the piece of the text that V8 puts into some of its messages. */
function jsonReason(error: unknown): string {
  if (!(error instanceof SyntaxError)) return 'cannot be parsed';
  if (error.message.startsWith('Unexpected end')) return 'ends too early';
  if (error.message.startsWith('Unexpected token')) return 'has an unexpected character';
  const [, reason, position] = /^([^"]+) at position (\d+)/.exec(error.message) ?? [];
  return reason === undefined || position === undefined ? 'cannot be parsed' : `is broken at character ${String(Number(position) + 1)}: ${reason.replace(' in JSON', '')}`;
}

/** NaN and Infinity outside strings as a number that is beyond all finite ones. */
function withoutInfinities(text: string): string {
  let result = '';
  let from = 0;
  while (from < text.length) {
    const quote = text.indexOf('"', from);
    const until = quote === -1 ? text.length : quote;
    const end = quote === -1 ? text.length : endOfString(text, quote + 1) + 1;
    result += text.slice(from, until).replaceAll(/\b(?:NaN|Infinity)\b/g, '1e999') + text.slice(until, end);
    from = end;
  }
  return result;
}

/** Index of the quote that ends the string which begins at `from`; the last index of the text when none does. */
function endOfString(text: string, from: number): number {
  for (let end = text.indexOf('"', from); end !== -1; end = text.indexOf('"', end + 1)) {
    let backslashes = 0;
    while (text.charCodeAt(end - 1 - backslashes) === 0x5c && end - 1 - backslashes >= from) backslashes += 1;
    if (backslashes % 2 === 0) return end;
  }
  return text.length - 1;
}

/** Goes over text that is JSON, jumping over strings, and keeps the keys of the objects it is in. */
function scan(text: string): { readonly reason: UnreadRowReason; readonly detail: string } | null {
  const keys: (Set<string> | null)[] = [];
  const current: string[] = [];
  let depth = 0;
  let keyNext = false;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === 0x22) {
      const end = endOfString(text, at + 1);
      if (keyNext) {
        const raw = text.slice(at + 1, end);
        const key = raw.includes('\\') ? JSON.parse(`"${raw}"`) as string : raw;
        const seen = keys[depth];
        if (seen?.has(key) === true) return { reason: 'duplicate_keys', detail: `has an object with the key ${show(key)} twice` };
        if (key === '__proto__' || (key === 'prototype' && current[depth - 1] === 'constructor')) return { reason: 'forbidden_key', detail: `has the key ${show(key)}` };
        seen?.add(key);
        current[depth] = key;
        keyNext = false;
      }
      at = end;
    } else if (code === 0x7b || code === 0x5b) {
      depth += 1;
      if (depth > deepest) return { reason: 'too_deep', detail: `nests deeper than ${String(deepest)}` };
      keyNext = code === 0x7b;
      current[depth] = '';
      keys[depth] = keyNext ? new Set() : null;
    } else if (code === 0x7d || code === 0x5d) {
      depth -= 1;
      keyNext = false;
    } else if (code === 0x2c) {
      keyNext = keys[depth] instanceof Set;
    }
  }
  return null;
}

const show = (key: string): string => JSON.stringify(key.slice(0, 40));
