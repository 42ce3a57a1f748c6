import { createHash } from 'node:crypto';
import canonicalize from 'canonicalize';

/**
 * sha256 (lower-case hex) of the canonical JSON (RFC 8785) of `value`, so that key order and white space never matter.
 * Throws what canonical JSON cannot hold: NaN, infinities, lone surrogates, circles, a bare undefined.
 */
export function hashCanonical(value: unknown): string {
  const json = canonicalize(value);
  if (json === undefined) throw new TypeError('undefined has no canonical JSON');
  return createHash('sha256').update(json, 'utf8').digest('hex');
}
