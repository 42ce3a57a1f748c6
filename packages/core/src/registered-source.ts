import type { DatasetSource } from './spec.ts';

/**
 * Where the rows of a registered data set are and how they are read, for a spec that names it. Never more rows than were registered:
 * the smaller of the two limits holds.
 */
export function registeredSource(registered: DatasetSource, { limit, sha256 }: DatasetSource): DatasetSource {
  const limits = [registered.limit, limit].filter((rows) => rows !== null);
  return { ...registered, limit: limits.length === 0 ? null : Math.min(...limits), sha256 };
}
