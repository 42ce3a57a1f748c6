import type { Row } from '@sgpo/artifacts';
import { buildSftRow, createSftStats, drawReplayed, replayCount, replayFault, replayRow, type Answer, type DataRow, type Digest, type Message, type ReplayStats } from '@sgpo/core';
import { tableSchemas } from '../table-schemas.ts';
import { createCounter, tableResult, type LocalStep } from './local-task.ts';
import { answerOf } from './answer-row.ts';

/**
 * D_train: p_train(x, y₀) → ŷ and p_train(x, y₀) → y_ext, for the targets the filter kept (Eq. 3), then replayed rows x → y₀ where the rules want some.
 * One row in for each target of each prompt, and with replay one more for each prompt.
 */
export const buildSft: LocalStep<'build-sft'> = async ({ services, signal }, spec) => {
  const { rows, draft, filter, ...sets } = spec.inputs;
  if (rows === undefined || draft === undefined || filter === undefined) throw new TypeError('build-sft needs rows, draft and filter');
  const { prompt, promptHash, rules, seed } = spec.parameters;
  const drafted = {
    rows: { source: rows, columns: { prompt: 'prompt', response: 'response' } },
    draft: { source: draft, columns: { draftText: 'text', draftFinish: 'finish_reason', draftDrop: 'drop_reason' } },
  };
  const counter = createCounter();
  const stats = createSftStats();
  const verdicts = await verdictsOf(filter);
  let replay: ReplayStats = { wanted: 0, rows: 0 };

  async function* examples() {
    for (const target of ['external', 'improved'] as const) {
      const digest = sets[target];
      if (digest === undefined) continue;
      const joined = services.tables.join({ ...drafted, target: { source: digest, columns: { targetText: 'text', targetFinish: 'finish_reason', targetDrop: 'drop_reason' } } });
      for await (const joinedRow of joined) {
        signal.throwIfAborted();
        const { row, draft: draftAnswer } = draftedRow(joinedRow);
        const targetAnswer = answerOf(joinedRow, 'target');
        const built = buildSftRow({ row, draft: draftAnswer, target: targetAnswer, verdict: verdicts.get(`${target} ${row.id}`) ?? null, prompt, rules });
        const dropReason = 'dropReason' in built ? built.dropReason : null;
        stats.add({ target, row, draft: draftAnswer, answer: targetAnswer, kept: dropReason === null });
        counter.count(dropReason);
        if (!('dropReason' in built)) yield built;
      }
    }
    if (rules.replay > 0) yield* replayed(counter.counts().rowsOut);
  }

  /** Who is drawn is known only when all candidates are: the rows are read twice, and nothing but ids is held. */
  async function* replayed(trained: number) {
    const candidates: string[] = [];
    for await (const joinedRow of services.tables.join(drafted)) {
      signal.throwIfAborted();
      const candidate = draftedRow(joinedRow);
      if (replayFault(candidate) === null) candidates.push(candidate.row.id);
    }
    const wanted = replayCount(trained, rules.replay);
    const drawn = drawReplayed(candidates, { seed, count: wanted });
    replay = { wanted, rows: drawn.size };
    for await (const joinedRow of services.tables.join(drafted)) {
      signal.throwIfAborted();
      const candidate = draftedRow(joinedRow);
      const dropReason = replayFault(candidate) ?? (drawn.has(candidate.row.id) ? null : 'not_replayed');
      counter.count(dropReason);
      if (dropReason === null) yield replayRow(candidate);
    }
  }

  const published = await services.tables.write(tableSchemas.sft, examples());
  return tableResult(published, counter.counts(), { stats: { ...stats.result(), replay }, meta: { promptHash } });

  async function verdictsOf(digest: Digest): Promise<ReadonlyMap<string, { readonly dropReason: string | null }>> {
    const map = new Map<string, { readonly dropReason: string | null }>();
    for await (const row of services.tables.scan(digest)) map.set(`${row['target'] as string} ${row['id'] as string}`, { dropReason: row['drop_reason'] as string | null });
    return map;
  }
};

/** A prompt with its reference and π₀'s answer. */
const draftedRow = (row: Row): { readonly row: DataRow; readonly draft: Answer } => ({
  row: { id: row['id'] as string, prompt: row['prompt'] as readonly Message[], response: row['response'] as string }, draft: answerOf(row, 'draft'),
});
