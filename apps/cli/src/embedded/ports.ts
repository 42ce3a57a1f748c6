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

/**
 * A port that stays the same from start to start: `preferred` when it is free, else the one noted in `file`, else a new one, which is noted.
 * `preferred` 0: none.
 */
export async function findSamePort(file: string, preferred: number): Promise<number> {
  for (const port of [preferred, remembered(file)]) {
    if (port > 0 && port < 65_536 && await bind(port) !== null) return port;
  }
  const fresh = await findFreePort();
  writeFileSync(file, `${String(fresh)}\n`);
  return fresh;
}
