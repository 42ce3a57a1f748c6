/** Which process is meant by a pid: pids are used again, above all in containers. */
import { readFileSync } from 'node:fs';
import { ask } from './commands.mjs';

/**
 * When the process began, as a text to compare and nothing else; null when none with this pid runs (one that only waits for its parent to
 * notice its end does not). Written as the stack's own lock has it.
 * @param {number} pid
 * @returns {string | null}
 */
export function startTimeOf(pid) {
  if (process.platform !== 'linux') {
    const [state = '', ...time] = (ask('ps', ['-o', 'stat=', '-o', 'lstart=', '-p', String(pid)]) ?? 'Z').split(/\s+/);
    return state.startsWith('Z') ? null : time.join(' ');
  }
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? null : fields[19] ?? null;
  } catch {
    return null; // no such process
  }
}

/**
 * The living process that a lock file names, or null.
 * @param {string} file
 * @returns {number | null}
 */
export function livingHolder(file) {
  try {
    const { pid, startTime } = JSON.parse(readFileSync(file, 'utf8'));
    return Number.isInteger(pid) && typeof startTime === 'string' && startTimeOf(pid) === startTime ? pid : null;
  } catch {
    return null; // no lock, or half of one
  }
}
