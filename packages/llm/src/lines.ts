import { APIConnectionError } from 'openai';
import { MalformedAnswer } from './completion.ts';

/** Far more than any answer of a chat model. */
const maxLineLength = 16 * 1024 * 1024;

/**
 * Lines of a body as they come, without their ends; blank ones are left out. An abort ends it with
 * the reason of the signal. Throws APIConnectionError when the transfer breaks off, MalformedAnswer for a line without end.
 */
export async function* readLines(body: ReadableStream<Uint8Array>, signal: AbortSignal): AsyncGenerator<string> {
  const reader = body.pipeThrough(new TextDecoderStream(), { signal }).getReader();
  let rest = '';
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((cause: unknown) => {
        signal.throwIfAborted();
        throw new APIConnectionError({ cause: cause instanceof Error ? cause : new Error('the transfer broke off', { cause }) });
      });
      const lines = `${rest}${value ?? ''}`.split('\n');
      rest = done ? '' : lines.pop() ?? '';
      if (rest.length > maxLineLength) throw new MalformedAnswer(`a line is longer than ${String(maxLineLength)} characters`);
      for (const line of lines) if (line.trim() !== '') yield line;
      if (done) return;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
