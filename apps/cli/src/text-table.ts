/** Rows as aligned lines; `right`: columns whose cells end below each other. Every row has as many cells as the first. */
export function formatTable(rows: readonly (readonly string[])[], { indent = '  ', right = () => false }: { readonly indent?: string; readonly right?: (column: number) => boolean } = {}): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) => `${indent}${row.map((cell, column) => (right(column) ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0))).join('  ')}`.trimEnd());
}
