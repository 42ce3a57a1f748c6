import { performance } from 'node:perf_hooks';

/** Seconds with one decimal. */
export const inSeconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

/** Runs one part of a start and says how long it took: "  postgres      0.6 s  created". */
export async function timePart<T>(say: (line: string) => void, name: string, work: () => Promise<T>, detail: (value: T) => string = () => ''): Promise<T> {
  const began = performance.now();
  const value = await work();
  say(`  ${name.padEnd(13)} ${inSeconds(performance.now() - began).padStart(6)}  ${detail(value)}`.trimEnd());
  return value;
}
