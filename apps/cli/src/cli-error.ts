/** Exit codes of the commands: done, failed, wrong usage or unusable input. */
export const exitCodes = { ok: 0, failed: 1, usage: 2 } as const;

/** A failure that ends the command: one line says what, one what to do. */
export class CliError extends Error {
  readonly fix: string;
  readonly exitCode: number;

  constructor(message: string, fix: string, { exitCode = exitCodes.failed, ...options }: ErrorOptions & { readonly exitCode?: number } = {}) {
    super(message, options);
    this.name = 'CliError';
    this.fix = fix;
    this.exitCode = exitCode;
  }
}

/** True for an error of the system with this code, as ENOENT. */
export const hasCode = (error: unknown, code: string): boolean => error instanceof Error && 'code' in error && error.code === code;
