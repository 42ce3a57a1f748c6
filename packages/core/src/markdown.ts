/** Cells and tables of Markdown documents. What is not known is a dash. */

export const dash = '–';
/** Text that cannot end a cell or a line. */
export const escapeCell = (text: string): string => text.replaceAll('|', String.raw`\|`).replaceAll(/[\r\n]+/g, ' ');
export const number = (value: number | null, digits: number): string => (value === null ? dash : value.toFixed(digits));
export const whole = (value: number | null): string => (value === null ? dash : String(value));
/** Of a share 0…1. */
export const percent = (share: number | null): string => (share === null ? dash : `${(100 * share).toFixed(1)} %`);
export const seconds = (value: number | null): string => (value === null ? dash : `${value.toFixed(1)} s`);
export const code = (text: string): string => `\`${text}\``;

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.map(escapeCell).join(' | ')} |`;
  return [line(head), `|${head.map(() => '---|').join('')}`, ...rows.map(line)].join('\n');
}

/** Sections with an empty body are left out, heading and all. */
export function sections(parts: readonly (readonly [heading: string, body: string])[]): string {
  return parts.filter(([, body]) => body !== '').map(([heading, body]) => `${heading}\n\n${body}`).join('\n\n');
}
