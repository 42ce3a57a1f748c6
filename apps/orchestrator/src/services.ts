import type { ArtifactStore, Tables } from '@sgpo/artifacts';
import type { Database } from '@sgpo/database';
import type { TeacherLimits } from '@sgpo/llm';
import type { Logger } from 'pino';
import type { Budgets } from './budgets.ts';
import type { WorkerRegistry } from './worker-registry.ts';

/** What the handlers of this process work with. Made once in main.ts. */
export interface Services {
  readonly database: Database;
  readonly store: ArtifactStore;
  readonly tables: Tables;
  readonly registry: WorkerRegistry;
  /** What all teachers of this process share. */
  readonly limits: TeacherLimits;
  readonly budgets: Budgets;
  readonly log: Logger;
  /** Names this process as the holder of attempts. */
  readonly holder: string;
  readonly leaseMs: number;
  readonly dataRoots: readonly string[];
  /** Where files of remote data sets are kept. */
  readonly cacheFolder: string;
  readonly allowedHosts: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** An attempt whose holder has not renewed for this long is nobody's. */
export const holdMs = 15_000;
export const renewEveryMs = 4_000;
