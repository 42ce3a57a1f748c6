import { spawn } from 'node:child_process';

/**
 * Sends `signal` to `pid` once this process is gone, however it ends: servers of others do not watch who started them. A shell waits at
 * a pipe that only we hold open. Returns how to end the guard without a signal; do so as soon as `pid` is gone.
 */
export function guardProcess(pid: number, signal: 'INT' | 'TERM'): () => void {
  const shell = spawn('/bin/sh', ['-c', 'trap "" INT TERM HUP; read -r _; kill -s "$1" "$2"', 'sh', signal, String(pid)], {
    cwd: '/', detached: true, stdio: ['pipe', 'ignore', 'ignore'],
  });
  // A guard that cannot start or is killed is missed only when we are killed as well; the next start then takes the server over.
  shell.on('error', () => undefined);
  shell.stdin.on('error', () => undefined);
  shell.unref();
  return () => { shell.kill('SIGKILL'); };
}
