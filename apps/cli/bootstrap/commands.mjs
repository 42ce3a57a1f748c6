/** Programs that set-up runs: their output goes to a log, and its end is shown when they fail. */
import { spawn, spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { SetupError } from './output.mjs';

/** @type {Set<import('node:child_process').ChildProcess>} */
const running = new Set();

/** Ends every program that still runs: set-up was interrupted or has failed. */
export function stopRunning() {
  for (const child of running) child.kill('SIGTERM');
}

/**
 * Short questions: the trimmed output, or null when the program is missing, fails or takes more than 20 s.
 * @param {string} command
 * @param {readonly string[]} args
 */
export function ask(command, args) {
  const result = spawnSync(command, args, { encoding: 'utf8', timeout: 20_000, stdio: ['ignore', 'pipe', 'ignore'] });
  return result.status === 0 ? result.stdout.trim() : null;
}

/**
 * @param {string} file
 * @param {number} lines
 */
function lastLines(file, lines) {
  return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-lines).map((line) => `    ${line}`).join('\n');
}

/**
 * Resolves when the program ends with 0; else SetupError with the end of its log.
 * @param {string} what
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{cwd: string, log: string, env?: NodeJS.ProcessEnv, fix: string}} options
 * @returns {Promise<void>}
 */
export function runLogged(what, command, args, { cwd, log, env = process.env, fix }) {
  mkdirSync(dirname(log), { recursive: true });
  const output = openSync(log, 'w');
  return new Promise((done, fail) => {
    const child = spawn(command, args, { cwd, env, stdio: ['ignore', output, output] });
    running.add(child);
    /** @param {string} how */
    const failed = (how) => fail(new SetupError(`${what} failed (${how}); the end of ${log}:\n${lastLines(log, 15)}`, fix));
    child.once('error', (error) => { running.delete(child); failed(error.message); });
    child.once('exit', (code, signal) => {
      running.delete(child);
      if (code === 0) done(); else failed(signal === null ? `exit code ${code}` : signal);
    });
    closeSync(output);
  });
}
