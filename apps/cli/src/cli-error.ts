/** A failure that ends the command: one line says what, one what to do. */
export class CliError extends Error {
  readonly fix: string;

  constructor(message: string, fix: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'CliError';
    this.fix = fix;
  }
}

/** True for an error of the system with this code, as ENOENT. */
export const hasCode = (error: unknown, code: string): boolean => error instanceof Error && 'code' in error && error.code === code;
