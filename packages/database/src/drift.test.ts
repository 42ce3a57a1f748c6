import { expect, test } from 'vitest';
import { createTestDatabase } from './testing/database.ts';

/** The author's tool lies outside the product's TypeScript. */
interface SchemaEngine { diffMigrationsWithSchema(url: string): Promise<string | null> }

test('schema.prisma and the SQL migrations agree', async () => {
  const engine = await import(new URL('../../../prisma/schema-engine.mjs', import.meta.url).href) as SchemaEngine;
  const { url, drop } = await createTestDatabase();
  try { expect(await engine.diffMigrationsWithSchema(url)).toBeNull(); } finally { await drop(); }
});
