import { createHash } from 'node:crypto';

/** sha256 (hex) of a JSON value; the order of keys does not matter. */
export function hashBody(body: unknown): string {
  const sorted = (_: string, value: unknown): unknown =>
    typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1))) : value;
  return createHash('sha256').update(JSON.stringify(body, sorted)).digest('hex');
}
