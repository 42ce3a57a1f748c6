import { isAbsolute, join } from 'node:path';
import { z } from 'zod';

/** Settings of the API process. */
export interface Config {
  readonly databaseUrl: string;
  readonly listen: { readonly host: string; readonly port: number };
  /** Folder of the artifact store. */
  readonly store: string;
  /** Folder that remote data sets are downloaded to. */
  readonly cacheFolder: string;
  /** Folders that data sets and models of a spec may lie in. */
  readonly dataRoots: readonly string[];
  /** `host` or `host:port` of teachers on loopback or private addresses. */
  readonly allowedHosts: readonly string[];
  readonly logLevel: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';
}

/** The environment cannot be used. The message has a line for each variable and never a value that may be secret. */
export class ConfigError extends Error {
  constructor(lines: readonly string[]) {
    super(lines.join('\n'));
    this.name = 'ConfigError';
  }
}

const isPostgresUrl = (text: string): boolean => URL.canParse(text) && ['postgres:', 'postgresql:'].includes(new URL(text).protocol);
const listOf = (text: string, separator: string): string[] => text.split(separator).map((part) => part.trim()).filter((part) => part !== '');

const environmentSchema = z.object({
  DATABASE_URL: z.string({ error: 'is not set: give the address of Postgres, postgres://user:password@host:5432/name' })
    .refine(isPostgresUrl, { error: 'is not an address of Postgres: give postgres://user:password@host:5432/name' }),
  SGPO_LISTEN: z.string().regex(/^(?:[^\s:[\]]+|\[[0-9a-fA-F:.]+\]):\d{1,5}$/, { error: 'must be host:port, such as 127.0.0.1:8080 or [::1]:8080' })
    .refine((text) => Number(text.slice(text.lastIndexOf(':') + 1)) <= 65_535, { error: 'has a port above 65535' }).default('127.0.0.1:8080'),
  SGPO_STORE: z.string({ error: 'is not set: give the folder of the artifact store' }).refine(isAbsolute, { error: 'must be an absolute folder' }),
  SGPO_CACHE: z.string().refine(isAbsolute, { error: 'must be an absolute folder' }).optional(),
  SGPO_DATA_ROOTS: z.string({ error: 'is not set: give the folders that data sets and models may lie in, separated by :' })
    .transform((text) => listOf(text, ':')).pipe(z.array(z.string().refine(isAbsolute, { error: 'must hold absolute folders only, separated by :' })).min(1, { error: 'names no folder' })),
  SGPO_ALLOWED_HOSTS: z.string().default('').transform((text) => listOf(text, ',')),
  LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'], { error: 'must be trace, debug, info, warn, error, fatal or silent' }).default('info'),
});

/** Reads the settings once. Throws ConfigError naming every variable that is missing, wrong or unknown (`SGPO_API_…`). */
export function readConfig(environment: Readonly<Record<string, string | undefined>>): Config {
  const unknown = Object.keys(environment).filter((name) => name.startsWith('SGPO_API_')).map((name) => `${name} is no setting of the API: remove it`);
  // An empty variable counts as one that is not set, as shells and compose files leave them.
  const given = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== undefined && value !== ''));
  const parsed = environmentSchema.safeParse(given);
  const wrong = parsed.success ? [] : parsed.error.issues.map((issue) => `${String(issue.path[0])} ${issue.message}`);
  if (!parsed.success || unknown.length > 0) throw new ConfigError([...new Set([...wrong, ...unknown])]);
  const { DATABASE_URL, SGPO_LISTEN, SGPO_STORE, SGPO_CACHE, SGPO_DATA_ROOTS, SGPO_ALLOWED_HOSTS, LOG_LEVEL } = parsed.data;
  const colon = SGPO_LISTEN.lastIndexOf(':');
  return Object.freeze({
    databaseUrl: DATABASE_URL, listen: { host: SGPO_LISTEN.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(SGPO_LISTEN.slice(colon + 1)) },
    store: SGPO_STORE, cacheFolder: SGPO_CACHE ?? join(SGPO_STORE, '..', 'downloads'), dataRoots: SGPO_DATA_ROOTS, allowedHosts: SGPO_ALLOWED_HOSTS, logLevel: LOG_LEVEL,
  });
}
