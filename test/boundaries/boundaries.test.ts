// The checkers are checked: each boundary of CONTRIBUTING.md fails on a planted violation, and the tools see files at all.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

const checkout = resolve(import.meta.dirname, '../..');
let copy: string;

/** A copy of what the linters read, so that a planted file never touches the checkout. */
beforeEach(() => {
  copy = mkdtempSync(join(tmpdir(), 'sgpo-boundaries-'));
  for (const entry of ['.oxlintrc.json', 'knip.json', 'package.json', 'tsconfig.json', 'tsconfig.base.json', 'apps', 'packages', 'python-worker', 'prisma', 'vitest.config.ts']) {
    cpSync(join(checkout, entry), join(copy, entry), { recursive: true, filter: (path) => !/node_modules|[/]dist$|__pycache__|tsbuildinfo/.test(path) });
  }
  symlinkSync(join(checkout, 'node_modules'), join(copy, 'node_modules'));
});
afterEach(() => { rmSync(copy, { recursive: true, force: true }); });

function plant(path: string, text: string): void {
  mkdirSync(dirname(join(copy, path)), { recursive: true });
  writeFileSync(join(copy, path), text);
}

const tool = (name: string, args: string[], cwd = copy): { status: number | null; text: string } => {
  const result = spawnSync(join(checkout, 'node_modules/.bin', name), args, { cwd, encoding: 'utf8' });
  return { status: result.status, text: `${result.stdout}${result.stderr}` };
};

describe('oxlint', () => {
  test.each([
    ['packages/core/src/planted.ts', "import { readFile } from 'node:fs/promises';\nexport const planted = readFile;\n", 'core is pure'],
    ['packages/core/src/planted.ts', "import { parseRunSpec } from '@sgpo/contracts';\nexport const planted = parseRunSpec;\n", 'core is pure'],
    ['packages/contracts/src/planted.ts', "import { createDatabase } from '@sgpo/database';\nexport const planted = createDatabase;\n", 'contracts import core alone'],
    ['packages/llm/src/planted.ts', "import { main } from '../../../apps/api/src/main.ts';\nexport const planted = main;\n", 'packages never import apps'],
    ['apps/api/src/planted.ts', "import { planted as other } from '@sgpo/orchestrator';\nexport const planted = other;\n", 'never another app'],
    ['apps/orchestrator/src/planted.ts', "import { credentials } from '@grpc/grpc-js';\nexport const planted = credentials;\n", 'stay in worker-client'],
    ['packages/core/src/planted.ts', 'export const planted = (x: any): unknown => x;\n', 'no-explicit-any'],
    ['packages/core/src/planted.ts', 'export function planted(): void { try { JSON.parse(""); } catch { } }\n', 'no-empty'],
  ])('%s: %s', (path, text, message) => {
    plant(path, text);
    const { status, text: output } = tool('oxlint', [path]);
    expect(output).toContain(message);
    expect(status).not.toBe(0);
  });

  test('a promise that nobody awaits is found', () => {
    plant('packages/core/src/planted.ts', 'export function planted(): void { Promise.resolve(1); }\n');
    expect(tool('oxlint', ['--type-aware', 'packages/core/src/planted.ts']).text).toContain('no-floating-promises');
  });

  test('it sees the product', () => {
    expect(tool('oxlint', ['packages', 'apps'], checkout).text).toMatch(/on [1-9]\d{2,} files/);
  });
});

test('knip finds an export nobody uses', () => {
  plant('packages/core/src/planted.ts', 'export const nobodyUsesThis = 1;\n');
  expect(tool('knip', ['--no-progress']).text).toContain('planted.ts');
});

describe('import-linter', () => {
  const lintImports = (): { status: number | null; text: string } => {
    const home = process.env['SGPO_HOME'] ?? join(checkout, '.sgpo');
    const bin = join(home, 'venv/bin/lint-imports');
    expect(existsSync(bin)).toBe(true);
    const result = spawnSync(bin, ['--no-cache'], { cwd: join(copy, 'python-worker'), encoding: 'utf8', env: { ...process.env, PYTHONPATH: 'src' } });
    return { status: result.status, text: `${result.stdout}${result.stderr}` };
  };

  test('torch in the gRPC process is found', () => {
    plant('python-worker/src/sgpo_worker/server/planted.py', 'import torch\n\nprint(torch)\n');
    const { status, text } = lintImports();
    expect(text).toContain('the gRPC process never imports torch');
    expect(status).not.toBe(0);
  });

  test('gRPC in a child is found', () => {
    plant('python-worker/src/sgpo_worker/child/planted.py', 'import grpc\n\nprint(grpc)\n');
    const { status, text } = lintImports();
    expect(text).toContain('children know nothing of gRPC');
    expect(status).not.toBe(0);
  });

  test('the product itself passes', () => { expect(lintImports().status).toBe(0); });
});
