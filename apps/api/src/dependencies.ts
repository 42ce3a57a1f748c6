import type { ArtifactStore } from '@sgpo/artifacts';
import type { Database } from '@sgpo/database';

/** What the routes work with. */
export interface Dependencies {
  readonly database: Database;
  readonly store: ArtifactStore;
  /** Folders that data sets and models of a spec may lie in. */
  readonly dataRoots: readonly string[];
  /** Teachers on loopback or private addresses that may be used: `host` or `host:port`. */
  readonly allowedHosts: readonly string[];
  /** How often an open event stream asks the database for news. */
  readonly eventPollMs: number;
}
