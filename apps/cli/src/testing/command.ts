/** Runs the command line as a process: what its users get. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { checkout } from '../config.ts';

export interface Outcome { readonly code: number; readonly stdout: string; readonly stderr: string }

interface RunOptions { readonly cwd?: string; readonly environment?: Readonly<Record<string, string | undefined>> }

const main = fileURLToPath(new URL('../main.ts', import.meta.url));
const bootstrap = fileURLToPath(new URL('../../bootstrap/main.mjs', import.meta.url));

/** The product's command line on this Node. */
export const sgpo = (args: readonly string[], options: RunOptions = {}): Promise<Outcome> => run(['--conditions=source', main, ...args], options);
/** The same behind its set-up, as npx and npm call it. */
export const sgpoBehindSetUp = (args: readonly string[], options: RunOptions = {}): Promise<Outcome> => run([bootstrap, ...args], options);

function run(args: readonly string[], { cwd = checkout, environment = {} }: RunOptions): Promise<Outcome> {
  // Where npm was called is where the user stands; a test runner's own place must not count.
  const env = { ...process.env, INIT_CWD: cwd, SGPO_TOKEN: undefined, SGPO_URL: undefined, NODE_OPTIONS: undefined, ...environment };
  return new Promise((done) => {
    execFile(process.execPath, args, { cwd, env, maxBuffer: 64 * 1024 * 1024 }, (error, stdout, stderr) => {
      done({ code: error === null ? 0 : typeof error.code === 'number' ? error.code : -1, stdout, stderr });
    });
  });
}
