/** What set-up says, and how it fails. */

/** Exit codes of every command. A command of the product itself ends with 0 or 1. */
export const exitCodes = { ok: 0, failed: 1, usage: 2, setup: 3, interrupted: 130 };

/** Set-up cannot go on. One line says what is wrong, one what to do. */
export class SetupError extends Error {
  /**
   * @param {string} what
   * @param {string} fix
   */
  constructor(what, fix) {
    super(what);
    this.name = 'SetupError';
    this.fix = fix;
  }
}

/** @param {string} text */
export function say(text) {
  process.stderr.write(`[set-up] ${text}\n`);
}

/** @param {number} ms */
export const seconds = (ms) => `${(ms / 1000).toFixed(1)} s`;

/**
 * Says what begins and how long it took.
 * @template T
 * @param {string} what
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function timed(what, work) {
  const began = performance.now();
  say(`${what} …`);
  const result = await work();
  say(`${what}: done, ${seconds(performance.now() - began)}`);
  return result;
}
