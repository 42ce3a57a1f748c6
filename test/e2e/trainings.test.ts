// Trainings of every kind on a CPU: Step 0 of a base model, LoRA, rounds, SPIN, losses and trainers, continuing, teachers that are weights.
import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RunDetail, RunSpecBody } from '@sgpo/contracts';
import { python, startFleet, type Fleet } from './fleet.ts';

let fleet: Fleet;
beforeAll(async () => { fleet = await startFleet(); });
afterAll(async () => { await fleet.stop(); });

const training = { batchSize: 4, microBatchSize: 2, maxLength: 448, learningRate: 1e-4, dtype: 'float32', saveDtype: 'float32', gradientCheckpointing: false, epochs: 2 };
/** A spec of a preset with the sets it reads, and without the others. */
function specOf(preset: string, reads: readonly string[], changes: Record<string, unknown> = {}): RunSpecBody {
  const { data, teacher, filter: _, ...rest } = fleet.everything() as { data: Record<string, unknown>; teacher: unknown; filter: unknown };
  const kept = Object.fromEntries(Object.entries(data).filter(([name]) => reads.includes(name)));
  return { ...rest, preset, data: { ...kept, heldOut: data['heldOut'] }, ...(reads.includes('improver') ? { teacher } : {}), ...changes } as unknown as RunSpecBody;
}
const stepOf = (run: RunDetail, key: string) => run.steps.find((step) => step.key === key)!;
async function succeed(spec: RunSpecBody) {
  const { detail, report } = await fleet.run(spec);
  expect(detail.failure).toBeNull();
  return { detail, report: report!, folder: (key: string): string => report!.artifacts.find(({ role }) => role === key)!.path };
}
function inPython(code: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(python, ['-c', code, ...args], { encoding: 'utf8', env: { ...process.env, OMP_NUM_THREADS: '1' } });
  expect([status, stderr.includes('Traceback') ? stderr : '']).toEqual([0, '']);
  return stdout;
}

test('Step 0 makes a model that stops out of a base model without a chat template', async () => {
  const { folder } = await succeed(specOf('sft', ['sft'], { model: { path: fleet.base }, sftTraining: { ...training, epochs: 3, chatTemplate: 'auto' } }));
  const told = JSON.parse(inPython(`
import json, sys
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig
t = AutoTokenizer.from_pretrained(sys.argv[1]); m = AutoModelForCausalLM.from_pretrained(sys.argv[1])
x = t.apply_chat_template([{"role": "user", "content": "What does a thermometer measure?"}], add_generation_prompt=True, return_tensors="pt", return_dict=True)
ids = m.generate(**x, max_new_tokens=200, do_sample=False)[0][x["input_ids"].shape[1]:].tolist()
print(json.dumps({"template": t.chat_template is not None, "stop": GenerationConfig.from_pretrained(sys.argv[1]).eos_token_id, "last": ids[-1]}))`, folder('train-sft'))) as { template: boolean; stop: number | number[]; last: number };
  expect(told.template).toBe(true);
  expect([told.stop].flat()).toContain(told.last);
});

test('a base model without a template is refused where nothing gives it one', async () => {
  const { status, body } = await fleet.call<{ code: string }>('POST', '/v1/runs', specOf('spin', ['policy'], { model: { path: fleet.base } }));
  expect([status, body.code]).toEqual([400, 'MODEL.NO_CHAT_TEMPLATE']);
});

test('three rounds of +Step 2, and the next night goes on from the last policy', async () => {
  const { detail, report } = await succeed(specOf('sgpo+step2', ['improver', 'policy'], { recipe: { rounds: 3 } }));
  expect(report.rounds.map(({ round, firstLoss }) => [round, firstLoss?.toFixed(3)])).toEqual([[1, '0.693'], [2, '0.693'], [3, '0.693']]);

  const next = await succeed(specOf('sgpo', ['policy'], { model: { from: { run: detail.id, model: 'final' } }, recipe: { improver: 'kept' } }));
  expect(stepOf(next.detail, 'import-model').output).toBe(stepOf(detail, 'dpo-r3').output);
  expect(next.detail.steps.map(({ kind }) => kind)).not.toContain('teach');
  expect(next.report.rounds[0]!.firstLoss).toBeCloseTo(Math.LN2, 3);
});

test('SPIN with two iterations plays against its last opponent', async () => {
  const { detail, report } = await succeed(specOf('spin', ['policy'], { recipe: { rounds: 2 } }));
  const { links } = await fleet.client.lineage(detail.id);
  const reference = (key: string): string => links.find((link) => link.direction === 'in' && link.stepKey === key && link.role === 'reference')!.digest;
  expect(reference('dpo-r1')).toBe(stepOf(detail, 'import-model').output);
  expect(reference('dpo-r2')).toBe(stepOf(detail, 'dpo-r1').output);
  expect(report.rounds).toHaveLength(2);
  expect(detail.spec.preference.beta).toBe(0.1);
});

test('LoRA in every training, the best weights published', async () => {
  const lora = { ...training, learningRate: 1e-3, lora: { rank: 4, alpha: 8 }, publish: 'both', validation: { share: 0.25, everySteps: 1 } };
  const { report, folder } = await succeed(specOf('sgpo', ['sft', 'improver', 'policy'], { sftTraining: lora, improverTraining: lora, preference: { ...lora, beta: 0.1 } }));
  expect(report.rounds[0]!.firstLoss).toBeCloseTo(Math.LN2, 3);
  for (const key of ['train-sft', 'train-improver', 'dpo-r1']) {
    const told = JSON.parse(inPython(`
import json, sys
from pathlib import Path
from transformers import AutoModelForCausalLM
from safetensors.torch import load_file
root = Path(sys.argv[1])
best, last = (AutoModelForCausalLM.from_pretrained(p) for p in (root, root / "last"))
print(json.dumps({"adapter": sorted(load_file(root / "adapter/adapter_model.safetensors")) != [], "parameters": sum(p.numel() for p in best.parameters()) == sum(p.numel() for p in last.parameters()),
  "statistics": json.loads((root / "training_statistics.json").read_text())}))`, folder(key))) as { adapter: boolean; parameters: boolean; statistics: Record<string, unknown> };
    expect(told).toMatchObject({ adapter: true, parameters: true });
    expect(JSON.stringify(told.statistics)).toContain('best');
  }
});

describe('losses and trainers', () => {
  test.each<[string, Record<string, unknown>]>([
    ['SimPO', { trainer: 'cpo', loss: 'simpo', simpoGamma: 0.5, cpoAlpha: 0, beta: 2 }],
    ['ORPO', { trainer: 'orpo', loss: 'orpo', beta: 0.1 }],
    ['KTO', { trainer: 'kto', loss: 'kto', beta: 0.1 }],
    ['DPO with an SFT term', { loss: ['sigmoid', 'sft'], lossWeights: [1, 0.1], beta: 0.1 }],
    ['IPO', { loss: 'ipo', beta: 0.1 }],
  ])('%s finishes', async (_, options) => {
    const { detail, report } = await succeed(specOf('dpo', ['preferences'], { preference: { ...training, ...options } }));
    expect(report.rounds[0]!.finalLoss).not.toBeNull();
    expect(stepOf(detail, 'dpo-r1').output).not.toBe(stepOf(detail, 'import-model').output);
  });
});

test('a teacher may be weights of the fleet, or the policy itself', async () => {
  const asked = { temperature: 0.7, maxTokens: 32 };
  const fleetTaught = await succeed(specOf('sgpo', ['improver', 'policy'], { teacher: { source: 'fleet', weights: { path: fleet.model }, ...asked } }));
  const selfTaught = await succeed(specOf('sgpo', ['improver', 'policy'], { teacher: { source: 'policy', ...asked } }));
  for (const { detail, report } of [fleetTaught, selfTaught]) {
    expect(stepOf(detail, 'teach-improved').kind).toBe('generate');
    expect(report.teacher).toMatchObject({ source: expect.stringMatching(/fleet|policy/) as string, cost: 0 });
    expect(stepOf(detail, 'build-sft').rowsOut).toBeGreaterThan(0);
  }
  // The policy's second sample is another one than the draft it improves.
  const drafts = await fleet.rows(stepOf(selfTaught.detail, 'generate-y0').output);
  const second = await fleet.rows(stepOf(selfTaught.detail, 'teach-external').output);
  expect(second.map((row) => row['text'])).not.toEqual(drafts.map((row) => row['text']));
});
