import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { hasCode } from '../cli-error.ts';

const loopback = '127.0.0.1';

function bind(port: number): Promise<number | null> {
  return new Promise((done) => {
    const server = createServer();
    server.once('error', () => { done(null); });
    server.listen({ port, host: loopback, exclusive: true }, () => {
      const address = server.address();
      server.close(() => { done(typeof address === 'object' && address !== null ? address.port : null); });
    });
  });
}

/** A port of 127.0.0.1 that nothing listens on at this moment. */
export async function findFreePort(): Promise<number> {
  const port = await bind(0);
  if (port === null) throw new Error(`No port of ${loopback} is free`);
  return port;
}

function remembered(file: string): number {
  try {
    return Number(readFileSync(file, 'utf8'));
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return 0;
    throw error;
  }
}

/** The port noted in `file` when it is still free, else a new one, which is noted: so an address stays the same from start to start. */
export async function findSamePort(file: string): Promise<number> {
  const before = remembered(file);
  const port = before > 0 && before < 65_536 ? await bind(before) : null;
  if (port !== null) return port;
  const fresh = await findFreePort();
  writeFileSync(file, `${String(fresh)}\n`);
  return fresh;
}
