/** Exit code of what was interrupted. */
export const interruptedExitCode = 130;

/** The reason of the signal that `onInterrupt` gives. */
class Interrupted extends Error {
  constructor() {
    super('interrupted');
    this.name = 'Interrupted';
  }
}

/**
 * A signal that aborts at the first SIGINT, SIGTERM or SIGHUP, or when the process that started us is gone. Later ones change nothing: one
 * Ctrl-C may arrive twice, from the terminal and through npm, and stopping is bounded anyway.
 */
export function onInterrupt(): AbortSignal {
  const controller = new AbortController();
  const interrupt = (): void => { controller.abort(new Interrupted()); };
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP', 'disconnect'] as const) process.on(name, interrupt);
  return controller.signal;
}

/** Resolves when the signal aborts. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    if (signal.aborted) done();
    else signal.addEventListener('abort', () => { done(); }, { once: true });
  });
}
