import { APIConnectionError } from 'openai';
import { expect, it } from 'vitest';
import { MalformedAnswer } from './completion.ts';
import { readLines } from './lines.ts';
import { never } from './testing/fixtures.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
async function linesOf(chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>, signal = never): Promise<string[]> {
  const lines: string[] = [];
  for await (const line of readLines(ReadableStream.from(chunks) as ReadableStream<Uint8Array>, signal)) lines.push(line);
  return lines;
}

it('puts together what was cut anywhere, also inside a character', async () => {
  const all = bytes('\ufeff{"a":"ü"}\r\n\n  \n{"b":"\ud83d\ude00"}\nlast');
  for (const size of [1, 3, 7, 100]) {
    const chunks = Array.from({ length: Math.ceil(all.length / size) }, (_, nth) => all.slice(nth * size, (nth + 1) * size));
    expect(await linesOf(chunks)).toEqual(['{"a":"ü"}\r', '{"b":"\ud83d\ude00"}', 'last']);
  }
  expect(await linesOf([])).toEqual([]);
});

it('gives up a line without end', async () => {
  const chunk = bytes('x'.repeat(1 << 20));
  await expect(linesOf((function* () { for (;;) yield chunk; })())).rejects.toBeInstanceOf(MalformedAnswer);
});

it('tells a transfer that breaks off, and ends with the reason of an abort', async () => {
  await expect(linesOf((async function* () { yield await Promise.resolve(bytes('{"a":')); throw new Error('reset'); })())).rejects.toBeInstanceOf(APIConnectionError);
  const stop = new AbortController();
  const endless = new ReadableStream<Uint8Array>({ start: (controller) => { controller.enqueue(bytes('a\nb')); } });
  const seen: string[] = [];
  await expect((async () => {
    for await (const line of readLines(endless, stop.signal)) { seen.push(line); setTimeout(() => { stop.abort(new Error('paused')); }, 10); }
  })()).rejects.toThrow('paused');
  expect(seen).toEqual(['a']);
});
