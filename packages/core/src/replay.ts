/**
 * Replay in improver training: some of the final training rows are plain prompts x with π₀'s own answers y₀, so that a model that learns to improve
 * drafts does not forget how to answer (small models do).
 *
 * Counts stay whole: with a share above 0 every prompt of D_imp is one more row in, a candidate. It becomes a training row, or is dropped with the
 * reason that `replayFault` gives, or, when it was usable and not drawn, as `not_replayed`.
 */
import { createHash } from 'node:crypto';
import { assistantTurn, isUnfinished } from './answers.ts';
import type { Answer, DataRow } from './answers.ts';
import { detectFlaw, flaws } from './detect.ts';
import type { SftRow } from './sft-rows.ts';

/** π₀ never saw y_sft: an answer equal to it is right, and no copy. */
const checks = flaws.filter((flaw) => flaw !== 'copy_of_reference');

/** Why a row's own answer cannot be replayed: `replay_<the draft's reason>`, `replay_unfinished`, `replay_<flaw>`; null: it can. */
export function replayFault({ row, draft }: { readonly row: DataRow; readonly draft: Answer }): string | null {
  if (draft.dropReason !== null) return `replay_${draft.dropReason}`;
  if (isUnfinished(draft)) return 'replay_unfinished';
  const flaw = detectFlaw(draft.text ?? '', { prompt: row.prompt, reference: row.response }, checks);
  return flaw === null ? null : `replay_${flaw}`;
}

/** `wanted` exceeds `rows` when too few answers could be replayed. */
export interface ReplayStats { readonly wanted: number; readonly rows: number }

/** How many replayed rows make up `share` (0 ≤ share < 1) of a training set that has `trained` rows beside them. */
export const replayCount = (trained: number, share: number): number => Math.round((trained * share) / (1 - share));

/**
 * The ids drawn for replay: the `count` with the smallest sha256 of `seed:id`, whatever their order; all of them when there are fewer. A row's luck
 * hangs on nothing but itself and the seed, so that one row more moves at most one other. Memory: a hash and an id for each candidate.
 */
export function drawReplayed(candidates: Iterable<string>, { seed, count }: { readonly seed: number; readonly count: number }): ReadonlySet<string> {
  const ranked = Array.from(candidates, (id) => ({ id, hash: createHash('sha256').update(`${String(seed)}:${id}`, 'utf8').digest('hex') }));
  ranked.sort((a, b) => (a.hash < b.hash ? -1 : 1));
  return new Set(ranked.slice(0, count).map(({ id }) => id));
}

/** x → y₀, as the policy is asked. */
export const replayRow = ({ row, draft }: { readonly row: DataRow; readonly draft: Answer }): SftRow =>
  ({ id: row.id, prompt: row.prompt, completion: assistantTurn(draft.text ?? ''), unfinished: isUnfinished(draft) });
