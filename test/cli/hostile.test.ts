// `sgpo data check` as a process on every hostile file: valid JSON, the right verdict and exit code, never a stack trace.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { printedCheck } from '../../apps/cli/src/testing/checks.ts';
import { sgpo } from '../../apps/cli/src/testing/command.ts';
import { writeHostileFiles } from '../data/hostile-files.ts';

const folder = mkdtempSync(join(tmpdir(), 'sgpo-hostile-cli-'));
afterAll(() => { rmSync(folder, { recursive: true, force: true }); });

const files = writeHostileFiles(folder);
/** The uses of the command line by the sets of a spec. */
const uses: Readonly<Record<string, string>> = { sft: 'sft', improver: 'improver', policy: 'policy', preferences: 'preference', heldOut: 'policy' };

describe.concurrent('data check on', () => {
  test.each(files.map((file) => [file.name, file] as const))('%s', async (_, { path, space, outcome }) => {
    const value = printedCheck(await sgpo(['data', 'check', path, '--as', uses[space]!, '--json'], { cwd: folder, environment: { SGPO_HOME: folder } }));
    if ('error' in outcome) expect(value.error).toMatchObject({ code: outcome.error, place: path });
    else {
      expect(value.dropped).toEqual('dropped' in outcome ? { [outcome.dropped]: outcome.rows ?? 1 } : {});
      expect(value.flagged).toEqual('flagged' in outcome ? { [outcome.flagged]: 1 } : {});
    }
  });
});
