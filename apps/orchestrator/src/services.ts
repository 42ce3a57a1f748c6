import type { ArtifactStore, Tables } from '@sgpo/artifacts';
import type { Database } from '@sgpo/database';
import type { Logger } from 'pino';
import type { WorkerRegistry } from './worker-registry.ts';

/** What the handlers of this process work with. Made once in main.ts. */
export interface Services {
  readonly database: Database;
  readonly store: ArtifactStore;
  readonly tables: Tables;
  readonly registry: WorkerRegistry;
  readonly log: Logger;
  /** Names this process as the holder of attempts. */
  readonly holder: string;
  readonly leaseMs: number;
  readonly dataRoots: readonly string[];
  readonly allowedHosts: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** An attempt whose holder has not renewed for this long is nobody's. */
export const holdMs = 15_000;
export const renewEveryMs = 4_000;
