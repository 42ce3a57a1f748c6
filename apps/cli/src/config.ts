import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { CliError } from './cli-error.ts';

/** The checkout: src and dist lie equally deep. */
export const checkout = fileURLToPath(new URL('../../../', import.meta.url)).replace(/\/$/, '');

const list = (separator: string) => z.string().default('').transform((text) => text.split(separator).map((part) => part.trim()).filter((part) => part !== ''));

/** Read once from the environment; the docstring of each variable is its documentation. */
const schema = z.object({
  /** Folder of everything the embedded stack keeps. */
  SGPO_HOME: z.string().min(1).default(join(checkout, '.sgpo')),
  /** Where the user stood when npm started us: relative paths of options start there. */
  INIT_CWD: z.string().min(1).default(process.cwd()),
  /** Port of the API on 127.0.0.1; 0: any free one. */
  SGPO_PORT: z.coerce.number().int().min(0).max(65_535).default(8080),
  /** host:port of the API, instead of SGPO_PORT. */
  SGPO_LISTEN: z.string().regex(/^.+:\d+$/, 'must be host:port').optional(),
  /** A Postgres to use instead of the embedded one. */
  DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/ }).optional(),
  /** A Redis or Valkey to use instead of the embedded one. */
  REDIS_URL: z.url({ protocol: /^rediss?$/ }).optional(),
  /** Address of the API that `launch` speaks to. */
  SGPO_URL: z.url({ protocol: /^https?$/ }).optional(),
  /** Its token. */
  SGPO_TOKEN: z.string().optional(),
  /** More folders that data sets and models may be read from, separated by ':'. */
  SGPO_DATA_ROOTS: list(':'),
  /** More private hosts that a teacher may have, separated by ','. */
  SGPO_ALLOWED_HOSTS: list(','),
});

export interface CliConfig {
  readonly home: string;
  readonly userFolder: string;
  readonly apiPort: number;
  /** null: 127.0.0.1 with apiPort. */
  readonly listen: string | null;
  /** API and token of `launch`; null: the one of this machine, and none. */
  readonly remoteUrl: string | null;
  readonly token: string | null;
  readonly databaseUrl: string | null;
  readonly redisUrl: string | null;
  readonly dataRoots: readonly string[];
  readonly allowedHosts: readonly string[];
  /** Interpreter of the environment that set-up makes. */
  readonly python: string;
}

/** Throws CliError naming each variable that is wrong; values are not repeated, they may hold secrets. */
export function readConfig(environment: NodeJS.ProcessEnv): CliConfig {
  const set = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== ''));
  const parsed = schema.safeParse(set);
  if (!parsed.success) {
    throw new CliError(`Environment: ${parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; ')}`, 'set these variables to proper values, or unset them');
  }
  const env = parsed.data;
  const home = resolve(env.INIT_CWD, env.SGPO_HOME);
  return {
    home, userFolder: env.INIT_CWD, apiPort: env.SGPO_PORT, listen: env.SGPO_LISTEN ?? null,
    remoteUrl: env.SGPO_URL ?? null, token: env.SGPO_TOKEN ?? null, databaseUrl: env.DATABASE_URL ?? null, redisUrl: env.REDIS_URL ?? null,
    dataRoots: [...new Set([checkout, env.INIT_CWD, join(home, 'models'), ...env.SGPO_DATA_ROOTS.map((root) => resolve(env.INIT_CWD, root))])],
    allowedHosts: env.SGPO_ALLOWED_HOSTS, python: join(home, 'venv', 'bin', 'python'),
  };
}
