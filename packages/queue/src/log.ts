/** What this package logs with; a pino logger is one. */
export interface Log {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

const repeatEveryMs = 30_000;

/** Warns of errors that come again and again (a connection that is down) once, and then once in a while as long as they are the same. */
export function createRepeatGuard(log: Log, message: string): { warn(error: unknown): void; clear(): void } {
  let last: { readonly text: string; readonly at: number } | null = null;
  return {
    warn(error) {
      const text = error instanceof Error ? error.message : String(error);
      const now = Date.now();
      if (last?.text === text && now - last.at < repeatEveryMs) return;
      last = { text, at: now };
      log.warn({ error: text }, message);
    },
    clear() { last = null; },
  };
}
