// The API refuses what a worker would refuse: both sides hold the same table of preference losses.
import { spawnSync } from 'node:child_process';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { trainerTraits } from '@sgpo/core';

const checkout = resolve(import.meta.dirname, '../..');
const python = join(process.env['SGPO_HOME'] ?? join(checkout, '.sgpo'), 'venv/bin/python');
const camelCase = (name: string): string => name.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());

interface Table { readonly [trainer: string]: { reference: boolean; combines: boolean; measures: string[]; losses: Record<string, { reads: string[]; needs: string[]; leastPairs: number }> } }

test('trainers, losses, the parameters they read and need, and what they measure', () => {
  const told = spawnSync(python, ['-c', `
import json
from sgpo_worker.losses import TRAINERS
print(json.dumps({name: {"reference": t.reference, "combines": t.combines, "measures": list(t.measures), "losses": {
  loss: {"reads": sorted(l.reads), "needs": sorted(l.needs), "leastPairs": l.least_pairs} for loss, l in t.losses.items()}} for name, t in TRAINERS.items()}))`],
  { encoding: 'utf8', env: { ...process.env, PYTHONPATH: join(checkout, 'python-worker/src') } });
  expect(told.stderr).toBe('');
  const worker = JSON.parse(told.stdout) as Table;
  const ours = Object.fromEntries(Object.entries(trainerTraits).map(([name, { reference, combines, measures, losses }]) => [name, {
    reference, combines, measures, losses: Object.fromEntries(Object.entries(losses).map(([loss, { reads, needs = [], leastPairs = 1 }]) => [loss, { reads: reads.toSorted(), needs: needs.toSorted(), leastPairs }])),
  }]));
  for (const trainer of Object.values(worker)) {
    for (const loss of Object.values(trainer.losses)) {
      loss.reads = loss.reads.map(camelCase).toSorted();
      loss.needs = loss.needs.map(camelCase).toSorted();
    }
  }
  expect(ours).toEqual(worker);
});
