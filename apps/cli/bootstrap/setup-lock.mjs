/** One set-up at a time: two would write the same folders. */
import { linkSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { say } from './output.mjs';
import { livingHolder, startTimeOf } from './process-start.mjs';

/**
 * Runs `work` while this process alone holds the lock of `home`; waits for a living holder, takes the lock of a dead one.
 * @template T
 * @param {string} home
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function withSetupLock(home, work) {
  const file = join(home, 'setup.lock');
  const own = `${file}.${process.pid}`;
  writeFileSync(own, JSON.stringify({ pid: process.pid, startTime: startTimeOf(process.pid) }));
  try {
    for (let said = false; !link(own, file);) {
      const pid = livingHolder(file);
      if (pid === null) rmSync(file, { force: true });
      else if (!said) { say(`another set-up runs (pid ${pid}): waiting for it`); said = true; }
      await sleep(300);
    }
  } finally {
    rmSync(own, { force: true });
  }
  try {
    return await work();
  } finally {
    rmSync(file, { force: true });
  }
}

/**
 * A link appears whole or not at all.
 * @param {string} own
 * @param {string} file
 */
function link(own, file) {
  try {
    linkSync(own, file);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw error;
  }
}
