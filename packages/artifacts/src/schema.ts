import { BIGINT, BOOLEAN, DOUBLE, INTEGER, LIST, STRUCT, VARCHAR, listValue, structValue, type DuckDBType, type DuckDBValue } from '@duckdb/node-api';
import type { Message } from '@sgpo/core';
import { quoteName } from './duckdb.ts';

/** messages: list<struct<role, content>>. tokens: list<int32>. int: 32 bits. Every column may hold null. */
export type ColumnType = 'string' | 'int' | 'bigint' | 'double' | 'messages' | 'tokens' | 'boolean';

/** Columns of a table, in their order. */
export type TableSchema = Readonly<Record<string, ColumnType>>;

/** A value of a table in JavaScript. A bigint within ±2^53 is read as a number. */
export type Cell = string | number | bigint | boolean | null | readonly Message[] | readonly number[];

/** A row by column name. A column left out or undefined is null. */
export type Row = Readonly<Record<string, Cell | undefined>>;

interface Column { readonly sql: string; readonly type: DuckDBType; readonly expected: string; readonly convert: (value: Exclude<Cell, null>) => DuckDBValue | undefined }

const isInt32 = (value: unknown): value is number => typeof value === 'number' && Number.isInteger(value) && Math.abs(value + 0.5) < 2 ** 31;

// Parquet holds UTF-8, which cannot say a lone surrogate: it becomes U+FFFD here, as it does wherever else the text is encoded.
const convertText = (value: unknown): string | undefined => typeof value === 'string' ? value.toWellFormed() : undefined;

const convertMessage = (message: unknown): DuckDBValue | undefined => {
  if (typeof message !== 'object' || message === null || !('role' in message) || !('content' in message)) return undefined;
  const role = convertText(message.role);
  const content = convertText(message.content);
  return role === undefined || content === undefined ? undefined : structValue({ role, content });
};

const convertList = (value: unknown, convert: (item: unknown) => DuckDBValue | undefined): DuckDBValue | undefined => {
  if (!Array.isArray(value)) return undefined;
  const items: DuckDBValue[] = [];
  for (const item of value) {
    const converted = convert(item);
    if (converted === undefined) return undefined;
    items.push(converted);
  }
  return listValue(items);
};

const columns: Readonly<Record<ColumnType, Column>> = {
  string: { sql: 'VARCHAR', type: VARCHAR, expected: 'a string', convert: convertText },
  int: { sql: 'INTEGER', type: INTEGER, expected: 'a 32-bit integer', convert: (value) => isInt32(value) ? value : undefined },
  bigint: { sql: 'BIGINT', type: BIGINT, expected: 'a 64-bit integer', convert: convertBigint },
  double: { sql: 'DOUBLE', type: DOUBLE, expected: 'a number', convert: (value) => typeof value === 'number' ? value : undefined },
  boolean: { sql: 'BOOLEAN', type: BOOLEAN, expected: 'true or false', convert: (value) => typeof value === 'boolean' ? value : undefined },
  messages: {
    sql: 'STRUCT("role" VARCHAR, "content" VARCHAR)[]', type: LIST(STRUCT({ role: VARCHAR, content: VARCHAR })), expected: 'a list of {role, content}',
    convert: (value) => convertList(value, convertMessage),
  },
  tokens: { sql: 'INTEGER[]', type: LIST(INTEGER), expected: 'a list of 32-bit integers', convert: (value) => convertList(value, (item) => isInt32(item) ? item : undefined) },
};

function convertBigint(value: unknown): bigint | undefined {
  if (typeof value === 'bigint') return BigInt.asIntN(64, value) === value ? value : undefined;
  return typeof value === 'number' && Number.isSafeInteger(value) ? BigInt(value) : undefined;
}

/** A schema ready for DuckDB. */
export interface CompiledSchema {
  /** Column definitions of CREATE TABLE. */
  readonly definitions: string;
  /** The columns cast to their types, as a select list. */
  readonly selection: string;
  readonly types: readonly DuckDBType[];
  /** Values of a row in column order. TypeError naming row and column when one has another type, or a column is unknown. */
  readonly convertRow: (row: Row, index: number) => DuckDBValue[];
}

/** Compiles a schema. TypeError for one without columns. */
export function compileSchema(schema: TableSchema): CompiledSchema {
  const entries = Object.entries(schema).map(([name, type]) => ({ name, ...columns[type] }));
  if (entries.length === 0 || entries.some(({ name }) => name === '')) throw new TypeError('a table needs columns, each with a name');
  return {
    definitions: entries.map(({ name, sql }) => `${quoteName(name)} ${sql}`).join(', '),
    selection: entries.map(({ name, sql }) => `CAST(${quoteName(name)} AS ${sql})`).join(', '),
    types: entries.map(({ type }) => type),
    convertRow: (row, index) => {
      for (const key of Object.keys(row)) {
        if (!Object.hasOwn(schema, key)) throw new TypeError(`row ${String(index)} has the column ${JSON.stringify(key)}, which the table has not (${Object.keys(schema).join(', ')})`);
      }
      return entries.map(({ name, expected, convert }) => {
        const value = Object.hasOwn(row, name) ? row[name] : null;
        if (value === undefined || value === null) return null;
        const converted = convert(value);
        if (converted === undefined) throw new TypeError(`column ${JSON.stringify(name)} of row ${String(index)} must be ${expected}, but is ${describeValue(value)}`);
        return converted;
      });
    },
  };
}

// Rows hold users' texts, which do not belong in a message: only small values are shown.
const describeValue = (value: unknown): string => typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean' ? String(value) : Array.isArray(value) ? 'a list with something else' : `a ${typeof value}`;
