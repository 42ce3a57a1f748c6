import { hashCanonical } from './canonical-hash.ts';
import type { StepKind } from './plan.ts';

/** All that a task's result depends on. */
export interface CacheKeyParts {
  readonly kind: StepKind;
  /** Version of the step's meaning (stepKinds). */
  readonly version: number;
  readonly role: 'shard' | 'merge' | 'whole';
  readonly parameters: unknown;
  /** Digests by role; a list where several shards fill one role, in order. */
  readonly inputs: Readonly<Record<string, string | readonly string[]>>;
  /** What else reaches the result, such as the engine. */
  readonly extra?: unknown;
}

/** sha256 (hex): equal keys mean equal results. Throws for parameters that canonical JSON cannot hold, such as NaN. */
export function cacheKey(parts: CacheKeyParts): string {
  const { kind, version, role, parameters, inputs, extra } = parts;
  return hashCanonical({ kind, version, role, parameters, inputs, ...(extra === undefined ? {} : { extra }) });
}
