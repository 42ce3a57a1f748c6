import { once } from 'node:events';
import { SgpoError } from '@sgpo/core';
import { Redis } from 'ioredis';

const longestPauseMs = 2_000;

/**
 * A connection that never gives up: commands wait while it is down and it connects again within seconds of Redis being back. Who cannot
 * wait that long asks `waitUntilReady` first. It listens to errors, so that a lost connection never ends the process; they are told
 * by the commands that fail.
 */
export function connectRedis(redisUrl: string): Redis {
  const redis = new Redis(redisUrl, {
    maxRetriesPerRequest: null, enableReadyCheck: true, connectTimeout: 5_000, keepAlive: 10_000,
    retryStrategy: (attempt) => Math.min(100 * attempt, longestPauseMs),
  });
  redis.on('error', () => undefined);
  return redis;
}

const unavailable = (what: string, cause: unknown): SgpoError =>
  new SgpoError('SERVICE.NOT_READY', `Redis ${what}`, { remedy: 'Check that REDIS_URL names a Redis that runs and lets this host in', cause });

/** Throws when the connection is not up within `timeoutMs`. */
export async function waitUntilReady(redis: Redis, timeoutMs: number): Promise<void> {
  if (redis.status === 'ready') return;
  try { await once(redis, 'ready', { signal: AbortSignal.timeout(timeoutMs) }); } catch (error) { throw unavailable(`is not connected (${redis.status})`, error); }
}

/** The promise's value, or an error when it is not there within `timeoutMs`. */
export async function within<T>(promise: Promise<T>, timeoutMs: number, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => { timer = setTimeout(() => { reject(unavailable(`did not answer within ${String(timeoutMs)} ms (${what})`, undefined)); }, timeoutMs); });
  try { return await Promise.race([promise, late]); } finally { clearTimeout(timer); }
}
