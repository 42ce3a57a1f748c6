import type { Message } from '@sgpo/core';

/** Tokens of a call or of several. */
export interface Tokens { readonly promptTokens: number; readonly completionTokens: number }

/** Text of the languages and models in use has at least three bytes a token, but for rare scripts; a template adds a few tokens a message. */
const bytesPerToken = 3;
const tokensPerMessage = 8;

/** The most a call is taken to need before its answer tells: tokens of the prompt by its bytes, and the longest answer it may get. */
export function worstOf(options: { readonly maxTokens: number }, messages: readonly Message[]): Tokens {
  const bytes = messages.reduce((sum, { content }) => sum + Buffer.byteLength(content, 'utf8'), 0);
  return { promptTokens: Math.ceil(bytes / bytesPerToken) + messages.length * tokensPerMessage, completionTokens: options.maxTokens };
}

export const sumOf = ({ promptTokens, completionTokens }: Tokens): number => promptTokens + completionTokens;

export const addTokens = (a: Tokens, b: Tokens): Tokens => ({ promptTokens: a.promptTokens + b.promptTokens, completionTokens: a.completionTokens + b.completionTokens });

export const noTokens: Tokens = { promptTokens: 0, completionTokens: 0 };
