/** What the tests of this package build on: a database and a corner of a Redis of their own, and a wire to Redis that can be cut. */
import { randomUUID } from 'node:crypto';
import { createServer, connect, type AddressInfo, type Socket } from 'node:net';
import { createDatabase, createTestDatabase, type Database } from '@sgpo/database';
import { Redis } from 'ioredis';
import type { Log } from '../log.ts';

export const redisUrl = process.env['SGPO_TEST_REDIS_URL'] ?? 'redis://127.0.0.1:6379';

export interface TestBed { readonly database: Database; readonly prefix: string; wipe(): Promise<void>; releaseLocks(): Promise<number>; close(): Promise<void> }

export async function openTestBed(): Promise<TestBed> {
  const { url, drop } = await createTestDatabase();
  const database = createDatabase({ url });
  const redis = new Redis(redisUrl);
  const prefix = `sgpo-test-${randomUUID()}`;
  const remove = async (pattern: string): Promise<number> => {
    const keys = await redis.keys(pattern);
    return keys.length === 0 ? 0 : redis.unlink(...keys);
  };
  const wipe = async (): Promise<void> => { await remove(`${prefix}:*`); };
  return {
    database, prefix, wipe,
    // What time does to the lock of a job whose process is gone.
    releaseLocks: () => remove(`${prefix}:*:lock`),
    async close() { await wipe(); redis.disconnect(); await database.close(); await drop(); },
  };
}

export interface LoggedLine { readonly level: string; readonly message: string; readonly fields: object }

export function createMemoryLog(): Log & { readonly lines: LoggedLine[] } {
  const lines: LoggedLine[] = [];
  const at = (level: string) => (fields: object, message: string): void => { lines.push({ level, message, fields }); };
  return { lines, info: at('info'), warn: at('warn'), error: at('error') };
}

export interface Wire { readonly url: string; cut(): void; mend(): void; close(): void }

/** A TCP relay before Redis: `cut` drops every connection and lets no new one through. */
export async function openWire(): Promise<Wire> {
  const target = new URL(redisUrl);
  const sockets = new Set<Socket>();
  let open = true;
  const server = createServer((near) => {
    if (!open) { near.destroy(); return; }
    const far = connect({ host: target.hostname, port: Number(target.port || 6379) });
    for (const [socket, other] of [[near, far], [far, near]] as const) {
      sockets.add(socket);
      socket.on('error', () => { other.destroy(); });
      socket.on('close', () => { sockets.delete(socket); other.destroy(); });
      socket.pipe(other);
    }
  });
  await new Promise<void>((listening) => { server.listen(0, '127.0.0.1', listening); });
  const url = new URL(redisUrl);
  url.host = `127.0.0.1:${String((server.address() as AddressInfo).port)}`;
  const dropAll = (): void => { for (const socket of sockets) socket.destroy(); };
  return { url: url.href, cut() { open = false; dropAll(); }, mend() { open = true; }, close() { dropAll(); server.close(); } };
}
