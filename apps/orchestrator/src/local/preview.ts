import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Row, Tables } from '@sgpo/artifacts';
import {
  costOfTeacher, previewGivenRow, previewImproverRow, previewNotes, previewPolicyRow, renderPreview, type Digest, type Message, type PreviewResult, type PreviewRow, type PromptName,
} from '@sgpo/core';
import type { RunTree } from '@sgpo/database';
import { wholeInputOf } from '../step-inputs.ts';
import { answerOf } from './answer-row.ts';
import type { LocalStep } from './local-task.ts';

/** Sets down what the first rows of each set became: texts, verdicts, and what it cost. */
export const preview: LocalStep<'preview'> = async ({ services, task, signal }, spec) => {
  const { database, store, tables } = services;
  const tree = await database.runs.tree(task.runId);
  if (tree === null) throw new TypeError(`no run ${task.runId}`);
  const rows: PreviewRow[] = [];
  for await (const row of rowsOf(tree, tables, spec.parameters.rows)) {
    signal.throwIfAborted();
    rows.push(row);
  }
  const spent = await database.ledger.spent(task.runId);
  const result: PreviewResult = { rows, spent: { ...spent, cost: costOfTeacher(tree.run.spec.teacher, spent) }, notes: previewNotes(tree.run.spec) };
  const published = await store.publish(async (folder) => {
    await writeFile(join(folder, 'preview.json'), `${JSON.stringify(result, null, 2)}\n`);
    await writeFile(join(folder, 'preview.md'), renderPreview(result));
  });
  return {
    output: { digest: published.digest, kind: 'report', bytes: published.bytes, rows: null, files: published.files, meta: {} },
    rowsIn: 0, rowsOut: 0, dropped: {}, stats: {}, provenance: {}, peakRssBytes: null,
  };
};

async function* rowsOf(tree: RunTree, tables: Tables, count: number): AsyncGenerator<PreviewRow> {
  const { steps, run } = tree;
  for (const step of steps) {
    if (step.kind === 'build-sft') yield* improverRows(tree, step, tables, count);
    else if (step.kind === 'pair') yield* run.spec.recipe.chosen === 'given' ? givenRows(wholeInputOf(tree, step, 'rows'), tables, count) : policyRows(tree, step, tables, count);
  }
}

type Step = RunTree['steps'][number];

/** Columns of a table of answers under a prefix, as answerOf reads them. */
const answerColumns = (prefix: string): Record<string, string> => ({ [`${prefix}Text`]: 'text', [`${prefix}Finish`]: 'finish_reason', [`${prefix}Drop`]: 'drop_reason' });
const rowColumns = { prompt: 'prompt', response: 'response' };
const dataRowOf = (row: Row): { readonly id: string; readonly prompt: readonly Message[]; readonly response: string } =>
  ({ id: row['id'] as string, prompt: row['prompt'] as readonly Message[], response: row['response'] as string });

async function* improverRows(tree: RunTree, step: Step, tables: Tables, count: number): AsyncGenerator<PreviewRow> {
  const { prompt } = step.parameters as { readonly prompt: PromptName };
  const verdicts = await verdictsOf(tables, wholeInputOf(tree, step, 'filter'));
  const targets = (['improved', 'external'] as const).filter((target) => step.inputs[target] !== undefined);
  const joined = tables.join({
    rows: { source: wholeInputOf(tree, step, 'rows'), columns: rowColumns }, draft: { source: wholeInputOf(tree, step, 'draft'), columns: answerColumns('draft') },
    ...Object.fromEntries(targets.map((target) => [target, { source: wholeInputOf(tree, step, target), columns: answerColumns(target) }])),
  }, { from: 0, to: count });
  for await (const row of joined) {
    const target = (name: 'improved' | 'external') => {
      if (!targets.includes(name)) return null;
      const verdict = verdicts.get(`${name} ${row['id'] as string}`) ?? null;
      return { answer: answerOf(row, name), perplexity: verdict?.perplexity ?? null, verdict };
    };
    yield previewImproverRow({ row: dataRowOf(row), draft: answerOf(row, 'draft'), improved: target('improved'), external: target('external') }, { prompt, rules: tree.run.spec.rules });
  }
}

async function* policyRows(tree: RunTree, step: Step, tables: Tables, count: number): AsyncGenerator<PreviewRow> {
  const isRefined = step.inputs['chosen'] !== undefined;
  const joined = tables.join({
    rows: { source: wholeInputOf(tree, step, 'rows'), columns: rowColumns }, rejected: { source: wholeInputOf(tree, step, 'rejected'), columns: answerColumns('rejected') },
    ...(isRefined ? { chosen: { source: wholeInputOf(tree, step, 'chosen'), columns: answerColumns('chosen') } } : {}),
  }, { from: 0, to: count });
  for await (const row of joined) {
    yield previewPolicyRow({ row: dataRowOf(row), rejected: answerOf(row, 'rejected'), refined: isRefined ? answerOf(row, 'chosen') : null }, tree.run.spec.rules);
  }
}

async function* givenRows(source: Digest, tables: Tables, count: number): AsyncGenerator<PreviewRow> {
  for await (const row of tables.scan(source, { from: 0, to: count })) {
    yield previewGivenRow({ id: row['id'] as string, prompt: row['prompt'] as readonly Message[], chosen: row['chosen'] as string, rejected: row['rejected'] as string });
  }
}

/** By target and row: a preview has a block or two of them. */
async function verdictsOf(tables: Tables, filter: Digest): Promise<ReadonlyMap<string, { readonly perplexity: number | null; readonly dropReason: string | null }>> {
  const verdicts = new Map<string, { readonly perplexity: number | null; readonly dropReason: string | null }>();
  for await (const row of tables.scan(filter)) {
    verdicts.set(`${row['target'] as string} ${row['id'] as string}`, { perplexity: row['perplexity'] as number | null, dropReason: row['drop_reason'] as string | null });
  }
  return verdicts;
}
