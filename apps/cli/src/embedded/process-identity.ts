import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { hasCode } from '../cli-error.ts';

/** True while a process with this pid runs. One that has ended and waits for its parent to notice does not run. */
export const isAlive = (pid: number): boolean => startTimeOf(pid) !== null;

/**
 * When the process began, as a text to compare and nothing else; null when none with this pid runs. With the pid it names one process for
 * good: pids are used again.
 */
export function startTimeOf(pid: number): string | null {
  if (process.platform !== 'linux') {
    const [state = '', ...time] = (fromPs(pid, 'stat,lstart') ?? 'Z').split(/\s+/);
    return state.startsWith('Z') ? null : time.join(' ');
  }
  try {
    const stat = readFileSync(`/proc/${String(pid)}/stat`, 'utf8');
    // The second field, the name, may hold anything. After it come the state and, as the 20th, the start time.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? null : fields[19] ?? null;
  } catch (error) {
    if (hasCode(error, 'ENOENT') || hasCode(error, 'ESRCH')) return null;
    throw error;
  }
}

/** Command line of the process; null when there is none. */
export function commandOf(pid: number): string | null {
  if (process.platform !== 'linux') return fromPs(pid, 'command');
  try {
    return readFileSync(`/proc/${String(pid)}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch (error) {
    if (hasCode(error, 'ENOENT') || hasCode(error, 'ESRCH')) return null;
    throw error;
  }
}

function fromPs(pid: number, columns: 'stat,lstart' | 'command'): string | null {
  try {
    return execFileSync('ps', [...columns.split(',').flatMap((column) => ['-o', `${column}=`]), '-p', String(pid)], { encoding: 'utf8' }).trim();
  } catch {
    return null; // ps ends with 1 when there is no such process
  }
}
