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
  /** Where tokens and addresses of remote data sets are named; read by name, never shown. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Folder that remote data sets are downloaded to. */
  readonly cacheFolder: string;
  /** How often an open event stream, and a preview that is waited for, asks the database for news. */
  readonly eventPollMs: number;
}
