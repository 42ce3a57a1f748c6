import { defineConfig } from 'vitest/config';

/** Workspace packages resolve to their TypeScript sources, as `node --conditions=source` does. */
const sources = { resolve: { conditions: ['source'] }, ssr: { resolve: { conditions: ['source'] } } };
const exclude = ['**/node_modules/**', '**/dist/**', '**/.sgpo/**'];

/** Whole stacks: they share the two cores a small machine has, so one file at a time. */
const wholeStack = ['test/e2e/**/*.test.ts', 'test/failure/**/*.test.ts'];

export default defineConfig({
  test: {
    projects: [
      {
        ...sources,
        test: {
          name: 'unit',
          include: ['packages/**/*.test.ts', 'apps/**/*.test.{ts,mjs}', 'test/**/*.test.ts'],
          exclude: [...exclude, ...wholeStack],
          testTimeout: 20_000,
          hookTimeout: 60_000,
        },
      },
      {
        ...sources,
        test: {
          name: 'e2e',
          include: wholeStack,
          exclude,
          fileParallelism: false,
          testTimeout: 900_000,
          hookTimeout: 300_000,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
