import { join } from 'node:path';
import { z } from 'zod';

/** Read once from the environment; the docstring of each variable is its documentation. */
const schema = z.object({
  DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/ }),
  REDIS_URL: z.url({ protocol: /^rediss?$/ }),
  /** Folder of the artifact store, shared with the workers. */
  SGPO_STORE: z.string().min(1),
  /** Folder for files of remote data sets, each kept under its commit or version: what is there already is not fetched again. Default: `downloads` beside the store. */
  SGPO_CACHE: z.string().min(1).optional(),
  /** Folders data sets and models may be read from, separated by ':'. */
  SGPO_DATA_ROOTS: z.string().min(1).transform((text) => text.split(':').filter((root) => root !== '')),
  /** host:port of every worker, separated by ','. */
  SGPO_WORKERS: z.string().transform((text) => text.split(',').map((address) => address.trim()).filter((address) => address !== '')),
  /** Hosts (or host:port) that a teacher may have although they are private, separated by ','. */
  SGPO_ALLOWED_HOSTS: z.string().default('').transform((text) => text.split(',').map((host) => host.trim()).filter((host) => host !== '')),
  /** Seconds after which a worker that does not answer has lost its task. */
  SGPO_LEASE_SECONDS: z.coerce.number().int().min(5).max(3600).default(45),
  /** Files for mTLS to the workers: all three or none. */
  SGPO_WORKER_CA: z.string().optional(),
  SGPO_WORKER_CERT: z.string().optional(),
  SGPO_WORKER_KEY: z.string().optional(),
  LOG_LEVEL: z.enum(['debug', 'info', 'warn', 'error']).default('info'),
}).refine((env) => [env.SGPO_WORKER_CA, env.SGPO_WORKER_CERT, env.SGPO_WORKER_KEY].filter((file) => file !== undefined).length % 3 === 0, {
  message: 'SGPO_WORKER_CA, SGPO_WORKER_CERT and SGPO_WORKER_KEY go together: set all three or none', path: ['SGPO_WORKER_CA'],
});

export interface Config {
  readonly databaseUrl: string;
  readonly redisUrl: string;
  readonly store: string;
  readonly cacheFolder: string;
  readonly dataRoots: readonly string[];
  readonly workers: readonly string[];
  readonly allowedHosts: readonly string[];
  readonly leaseMs: number;
  readonly tls: { readonly caFile: string; readonly certFile: string; readonly keyFile: string } | null;
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error';
}

/** Throws an Error whose message names each variable and what is wrong with it; values are not repeated, they may hold secrets. */
export function readConfig(environment: NodeJS.ProcessEnv): Config {
  const parsed = schema.safeParse(environment);
  if (!parsed.success) throw new Error(`Configuration: ${parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; ')}`);
  const env = parsed.data;
  const tls = env.SGPO_WORKER_CA !== undefined && env.SGPO_WORKER_CERT !== undefined && env.SGPO_WORKER_KEY !== undefined
    ? { caFile: env.SGPO_WORKER_CA, certFile: env.SGPO_WORKER_CERT, keyFile: env.SGPO_WORKER_KEY } : null;
  return Object.freeze({
    databaseUrl: env.DATABASE_URL, redisUrl: env.REDIS_URL, store: env.SGPO_STORE, cacheFolder: env.SGPO_CACHE ?? join(env.SGPO_STORE, '..', 'downloads'), dataRoots: env.SGPO_DATA_ROOTS, workers: env.SGPO_WORKERS,
    allowedHosts: env.SGPO_ALLOWED_HOSTS, leaseMs: env.SGPO_LEASE_SECONDS * 1000, tls, logLevel: env.LOG_LEVEL,
  });
}
