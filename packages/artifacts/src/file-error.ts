/** What is wrong with a file as a whole; it becomes DATASET.UNREADABLE with the field and the value that named the file. */
export class FileError extends Error {
  readonly fix: string;
  constructor(message: string, fix: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'FileError';
    this.fix = fix;
  }
}
