import type { Transaction } from './client.ts';
import { toJson } from './json.ts';
import type { ArtifactRecord } from './repositories.ts';

/** Records artifacts. One that is known stays as it was recorded first: its digest says that the files are the same. */
export async function createArtifacts(tx: Transaction, records: readonly Omit<ArtifactRecord, 'createdAt'>[], now: Date): Promise<void> {
  if (records.length === 0) return;
  // Every transaction inserts in the order of digests, so that two that record the same ones cannot wait for each other in a circle.
  const sorted = records.toSorted((a, b) => (a.digest < b.digest ? -1 : 1));
  await tx.artifact.createMany({
    skipDuplicates: true,
    data: sorted.map((record) => ({
      digest: record.digest, kind: record.kind, bytes: BigInt(record.bytes), rows: record.rows, files: toJson(record.files), meta: toJson(record.meta), createdAt: now,
    })),
  });
}
