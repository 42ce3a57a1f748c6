/** The result of a command on stdout, and nothing else there. A reader that has seen enough (`| head`) is no failure. */
function write(text: string): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit(0);
  });
  process.stdout.write(text);
}

/** For programs: one JSON value. */
export const writeJson = (value: unknown): void => { write(`${JSON.stringify(value, null, 2)}\n`); };

/** For people: rows and models are untrusted, so what steers a terminal or turns a line round is shown as an escape. */
export const writeLines = (lines: readonly string[]): void => { write(`${lines.map(visible).join('\n')}\n`); };

/** Control characters but line ends and tabs, marks of writing direction, line separators, and halves of surrogate pairs as \u{…}. */
export const visible = (text: string): string =>
  text.replace(/(?![\n\t])[\p{Cc}\p{Cs}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/gu, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`);
