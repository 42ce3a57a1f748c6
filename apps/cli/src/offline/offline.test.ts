import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { recipeListSchema } from '@sgpo/contracts';
import { presetNames, type PlanDescription } from '@sgpo/core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkout } from '../config.ts';
import { sgpo, sgpoBehindSetUp, type Outcome } from '../testing/command.ts';
import { visible } from './write.ts';

let folder: string;
beforeAll(() => { folder = mkdtempSync(join(tmpdir(), 'sgpo-offline-')); });
afterAll(() => { rmSync(folder, { recursive: true, force: true }); });

const succeeded = ({ code, stdout, stderr }: Outcome): string => {
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return stdout;
};

describe.concurrent('recipes', () => {
  test('as JSON: what the service answers, and nothing else on stdout', async () => {
    const body = recipeListSchema.strict().parse(JSON.parse(succeeded(await sgpo(['recipes', '--json']))));
    expect(body.recipes.map(({ preset }) => preset)).toEqual(presetNames);
  });
  test('as text: a line a preset', async () => {
    const text = succeeded(await sgpo(['recipes']));
    for (const preset of presetNames) expect(text).toMatch(new RegExp(`^  ${preset.replace('+', '\\+')} +[^ ]`, 'm'));
  });
});

describe.concurrent('plan', () => {
  test.each(presetNames)('of preset %s', async (preset) => {
    const plan = JSON.parse(succeeded(await sgpo(['plan', '--preset', preset, '--json']))) as PlanDescription;
    expect(plan.preset).toBe(preset);
    expect(plan.steps.at(-1)?.kind).toBe('report');
    for (const step of plan.steps.filter(({ kind }) => kind === 'dpo')) expect(step).toMatchObject({ policy: expect.any(String), reference: expect.any(String), chosen: { source: expect.any(String), step: expect.any(String) }, rejected: { step: expect.any(String) } });
  });
  test('as text: steps, both sides, models; of a file relative to where one stands', async () => {
    const text = succeeded(await sgpo(['plan', '-f', 'spin.yaml'], { cwd: join(checkout, 'examples') }));
    expect(text).toContain('dpo-r2  dpo-r1        dpo-r1        reference: ingest-policy.response  sampled: generate-y-r2.text (dpo-r1)');
    expect(text).not.toMatch(/undefined|null|\[object/);
  });
  const refused: readonly (readonly [string, string, string])[] = [
    ['an unknown preset', 'preset: sgp\n', 'Did you mean sgpo?'], ['a wrong field', 'preset: sgpo\nsampling: {maxNewToken: 1}\nmodel: {path: m}\n', 'sampling.maxNewToken'],
    ['no YAML', 'a: [1', 'is not YAML'], ['a list', '- 1\n', 'write it as'], ['nothing', '', 'write it as'],
    ['a study', 'name: s\nbase: {}\n', 'is a study'], ['aliases without bound', `a: &a [x,x,x,x,x,x,x,x,x,x]\n${'bcdefghi'.split('').map((name, index) => `${name}: &${name} [${Array.from({ length: 10 }, () => `*${'abcdefghi'[index]!}`).join(',')}]`).join('\n')}\n`, 'is not YAML'],
  ];
  test.each(refused)('of a file with %s: exit code 2 and the reason, no stack', async (name, text, reason) => {
    const file = join(folder, `${name}.yaml`);
    writeFileSync(file, text);
    const { code, stdout, stderr } = await sgpo(['plan', '-f', file, '--json']);
    expect([code, stderr]).toEqual([2, '']);
    expect(JSON.stringify((JSON.parse(stdout) as { readonly error: object }).error)).toContain(reason);
  });
  test('of a file with a fault, for people: on stderr, each problem with its fix', async () => {
    const file = join(folder, 'fault.yaml');
    writeFileSync(file, 'preset: sgpo\nsampling: {maxNewTokens: none}\nmodel: {path: m}\n');
    const { code, stdout, stderr } = await sgpo(['plan', '-f', file]);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(/^\nsgpo: SPEC\.INVALID: .*\n {2}sampling\.maxNewTokens: .*\n {4}found: "none"\n {4}fix: .*\nfix: {2}.*\n$/);
  });
  test.each([[[]], [['--preset', 'none']]])('with %j is wrong usage', async (args) => {
    const { code, stdout, stderr } = await sgpo(['plan', ...args]);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain('error: ');
  });
});

test('behind set-up, from a folder below: only the result on stdout', async () => {
  const { code, stdout } = await sgpoBehindSetUp(['recipes', '--json'], { cwd: join(checkout, 'packages/core/src') });
  expect(code).toBe(0);
  expect(recipeListSchema.parse(JSON.parse(stdout)).recipes).toHaveLength(presetNames.length);
});

test('what steers a terminal is shown as an escape; other writing systems are not touched', () => {
  expect(visible('a\u001B[31m\u202Eb\u2028\uFEFF\uD800\tc\nد 👩‍💻')).toBe('a\\u{1b}[31m\\u{202e}b\\u{2028}\\u{feff}\\u{d800}\tc\nد 👩‍💻');
});
