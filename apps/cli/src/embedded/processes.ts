import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { CliError } from '../cli-error.ts';
import { guardProcess } from './guard.ts';
import { lastLines, rotate, sizeOf } from './log-file.ts';

export interface ProcessSpec {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  /** Another user to run as. */
  readonly user?: { readonly uid: number; readonly gid: number };
  /** Takes stdout and stderr. */
  readonly logFile: string;
  /** How it learns that we are gone: its ipc channel closes, a guard signals it, or it watches our pid by itself. */
  readonly leavesBy: 'ipc' | 'guard' | 'itself';
  readonly stopSignal: 'SIGTERM' | 'SIGINT';
  /** Longest time it gets to stop before it is killed. */
  readonly stopMs: number;
  /** Longest time from its start until it answers. */
  readonly readyMs: number;
  /** Resolves when it answers. `logOffset`: where its own lines begin in logFile. */
  readonly isReady: (logOffset: number, signal: AbortSignal) => Promise<unknown>;
}

export interface SupervisedProcess {
  readonly name: string;
  /** Resolves when it answers for the first time; rejects with CliError when it never does. */
  readonly ready: Promise<void>;
  /** null between a death and the next start. */
  pid(): number | null;
  /** Ends it, by force after `withinMs` (or stopMs when that is shorter). Never rejects; may be called again. */
  stop(withinMs?: number): Promise<void>;
}

interface Reports {
  /** One line for the user. */
  readonly say: (line: string) => void;
  /** The process died too often: it will not be started again. Called at most once. */
  readonly onGiveUp: (error: CliError) => void;
}

const windowMs = 60_000;
const maxDeaths = 5;
const firstDelayMs = 100;

/** Starts a process and starts it again whenever it dies unasked: after 0.1 s, 0.2 s … and no more after five deaths in a minute. */
export function supervise(spec: ProcessSpec, { say, onGiveUp }: Reports): SupervisedProcess {
  let child: ChildProcess | null = null;
  let stopping = false;
  let timer: NodeJS.Timeout | undefined;
  let deaths: number[] = [];
  const settled = Promise.withResolvers<undefined>();
  const readyOnce = Promise.withResolvers<undefined>();
  readyOnce.promise.catch(() => undefined); // who only waits for onGiveUp must not meet an unhandled rejection

  function giveUp(message: string): void {
    const error = new CliError(`${spec.name} ${message}; the end of ${spec.logFile}:\n${lastLines(spec.logFile, 12)}`, 'the lines above say why; when they do not, run it again');
    readyOnce.reject(error);
    onGiveUp(error);
  }

  function onEnd(how: string): void {
    child = null;
    if (stopping) { settled.resolve(undefined); return; }
    const now = Date.now();
    deaths = [...deaths.filter((at) => now - at < windowMs), now];
    if (deaths.length > maxDeaths) { settled.resolve(undefined); giveUp(`ended ${String(deaths.length)} times within a minute (last: ${how})`); return; }
    say(`${spec.name} ended unexpectedly (${how}): starting it again`);
    timer = setTimeout(start, firstDelayMs * 2 ** (deaths.length - 1));
  }

  function start(): void {
    const logOffset = sizeOf(spec.logFile);
    const started = launch(spec);
    const left = new AbortController();
    const endGuard = spec.leavesBy === 'guard' && started.pid !== undefined ? guardProcess(started.pid, spec.stopSignal === 'SIGINT' ? 'INT' : 'TERM') : null;
    let ended = false;
    const end = (how: string): void => {
      if (ended) return;
      ended = true;
      endGuard?.();
      left.abort();
      onEnd(how);
    };
    started.once('error', (error) => { end(error.message); });
    started.once('exit', (code, signal) => { end(signal ?? `exit code ${String(code)}`); });
    child = started;
    const tooLate = AbortSignal.timeout(spec.readyMs);
    spec.isReady(logOffset, AbortSignal.any([left.signal, tooLate])).then(
      () => { readyOnce.resolve(undefined); },
      (error: unknown) => {
        // A death is told by its exit event. What does not answer in time would not answer later either.
        if (!left.signal.aborted && !stopping) giveUp(tooLate.aborted ? `does not answer within ${String(spec.readyMs / 1000)} s` : `cannot be asked whether it is ready: ${String(error)}`);
      },
    );
  }

  async function stop(withinMs = spec.stopMs): Promise<void> {
    if (!stopping) {
      stopping = true;
      clearTimeout(timer);
      readyOnce.reject(new CliError(`${spec.name} was stopped before it was ready`, 'run it again'));
      if (child === null) settled.resolve(undefined);
      else child.kill(spec.stopSignal);
    }
    const force = setTimeout(() => { child?.kill('SIGKILL'); }, Math.min(withinMs, spec.stopMs));
    await settled.promise;
    clearTimeout(force);
  }

  rotate(spec.logFile);
  start();
  return { name: spec.name, ready: readyOnce.promise, pid: () => child?.pid ?? null, stop };
}

/** A session of its own: Ctrl-C in the terminal reaches us alone, and we stop things in order. */
function launch(spec: ProcessSpec): ChildProcess {
  const log = openSync(spec.logFile, 'a', 0o600);
  try {
    return spawn(spec.command, spec.args, {
      cwd: spec.cwd, env: spec.env, detached: true, ...spec.user,
      stdio: ['ignore', log, log, ...(spec.leavesBy === 'ipc' ? ['ipc' as const] : [])],
    });
  } finally {
    closeSync(log);
  }
}
