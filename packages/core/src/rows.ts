/** Rows of data sets in canonical form: which are kept, under which id and place, and how many are not. */
import { hashCanonical } from './canonical-hash.ts';
import { createIdSet, type IdSet } from './id-set.ts';
import type { RowSpace } from './plan.ts';
import { drop, isDrop, type DroppedRow, type RowDropReason, type UnreadRowReason } from './row-drops.ts';
import { flagsOf, type RowTexts } from './row-flags.ts';
import type { RowFlag, RowFormat } from './row-formats.ts';
import { fillsSpace, formatOfRow, isRecord, renameColumns, type RowLayout } from './row-layout.ts';
import { readPair, type GivenPair } from './row-pairs.ts';
import { readConversation } from './row-readers.ts';
import type { Message } from './spec.ts';

/** First 16 hex digits of the sha256 of the prompt's canonical JSON; only role and content enter. */
export function promptId(prompt: readonly Message[]): string {
  return hashCanonical(prompt.map(({ role, content }) => ({ role, content }))).slice(0, 16);
}

/** What a kept row holds. Improver, policy and held-out sets: a prompt and its answer; sft: a whole conversation; preferences: a pair. */
export type RowBody =
  | { readonly kind: 'answer'; readonly prompt: readonly Message[]; readonly response: string }
  | { readonly kind: 'conversation'; readonly messages: readonly Message[] }
  | { readonly kind: 'pair' } & GivenPair;

/** `id` is that of the prompt (of a conversation: all turns but the last); `pos` counts the kept rows from 0. */
export type IngestedRow = RowBody & { readonly id: string; readonly pos: number; readonly flags: readonly RowFlag[] };

/** rowsIn = rowsOut + Σ dropped, always. */
export interface IngestCounts {
  readonly rowsIn: number;
  readonly rowsOut: number;
  readonly dropped: Readonly<Partial<Record<RowDropReason | RowFlag, number>>>;
  /** Kept rows by flag. */
  readonly flagged: Readonly<Partial<Record<RowFlag, number>>>;
  /** Kept rows by format. */
  readonly formats: Readonly<Partial<Record<RowFormat, number>>>;
  /** Kept rows whose prompt is in the held-out set: not 0 only where overlap is kept. */
  readonly overlaps: number;
}

export interface IngestOptions {
  readonly space: RowSpace;
  readonly layout: RowLayout;
  /** How many rows are kept; all that follow are `over_limit`, unread. */
  readonly limit: number | null;
  /** Ids of other sets' prompts: those of `improver` are `shared_prompt` here, those of `heldOut` `evaluation_prompt`. */
  readonly against: { readonly improver?: Pick<IdSet, 'has'>; readonly heldOut?: Pick<IdSet, 'has'> };
  readonly heldOutOverlap: 'drop' | 'keep';
  readonly scores: 'check' | 'ignore';
  readonly dropFlagged: readonly RowFlag[];
}

export interface Ingest {
  /** Takes the next row of the file. */
  accept(raw: unknown): IngestedRow | DroppedRow;
  /** Counts the next row of the file, which its reader could not make out. */
  refuse(reason: UnreadRowReason, detail: string): DroppedRow;
  counts(): IngestCounts;
}

/** Goes through a data set in file order. Of rows with one prompt (of pairs: with one prompt and the same answers) the first stays. Memory: 16 bytes a kept row. */
export function createIngest(options: IngestOptions): Ingest {
  const { space, layout, limit, against } = options;
  const seen = createIdSet();
  const counts = { dropped: {} as Counter<RowDropReason | RowFlag>, flagged: {} as Counter<RowFlag>, formats: {} as Counter<RowFormat> };
  let rowsIn = 0;
  let overlaps = 0;

  function overLimit(): DroppedRow | null {
    return limit !== null && seen.size >= limit ? drop('over_limit', `${String(limit)} rows are kept already`) : null;
  }

  function decide(raw: unknown): IngestedRow | DroppedRow {
    if (!isRecord(raw)) return drop('not_an_object', 'the row is not a JSON object');
    const row = renameColumns(raw, layout.columns);
    const format = formatOfRow(row, layout);
    if (format === null || !fillsSpace(format, space)) return drop('wrong_columns', `the row has the columns ${listNames(Object.keys(row))}`);
    const body = readBody(row, format, options);
    if (isDrop(body)) return body;
    const flags = flagsOf(textsOf(body));
    const unwanted = flags.find((flag) => options.dropFlagged.includes(flag));
    if (unwanted !== undefined) return drop(unwanted, `the row is flagged ${unwanted}`);
    return place(body, format, flags);
  }

  function place(body: RowBody, format: RowFormat, flags: readonly RowFlag[]): IngestedRow | DroppedRow {
    const prompt = promptOf(body);
    const id = promptId(prompt);
    const evaluated = against.heldOut !== undefined && overlapsWith(against.heldOut, id, prompt);
    if (evaluated && options.heldOutOverlap === 'drop') return drop('evaluation_prompt', `the held-out set has the prompt ${id}, or the first turn of it`);
    if (against.improver?.has(id) === true) return drop('shared_prompt', `the improver set has the prompt ${id}`);
    const pos = seen.size;
    if (!seen.add(identityOf(body, id))) return drop('duplicate_prompt', `an earlier row has the prompt ${id}${body.kind === 'pair' ? ' and the same two answers' : ''}`);
    if (evaluated) overlaps += 1;
    for (const flag of flags) increase(counts.flagged, flag);
    increase(counts.formats, format);
    return { id, pos, flags, ...body };
  }

  function counted<Result extends IngestedRow | DroppedRow>(result: Result): Result {
    rowsIn += 1;
    if (isDrop(result)) increase(counts.dropped, result.dropReason);
    return result;
  }

  return {
    accept: (raw) => counted(overLimit() ?? decide(raw)),
    refuse: (reason, detail) => counted(overLimit() ?? drop(reason, detail)),
    counts: () => ({ rowsIn, rowsOut: seen.size, dropped: { ...counts.dropped }, flagged: { ...counts.flagged }, formats: { ...counts.formats }, overlaps }),
  };
}

type Counter<Name extends string> = Partial<Record<Name, number>>;
function increase<Name extends string>(counter: Counter<Name>, name: Name): void {
  counter[name] = (counter[name] ?? 0) + 1;
}

function readBody(row: Readonly<Record<string, unknown>>, format: RowFormat, { space, layout, scores }: IngestOptions): RowBody | DroppedRow {
  if (space === 'preferences') {
    const pair = readPair(format, row, scores === 'check' ? layout.scores : null);
    return isDrop(pair) ? pair : { kind: 'pair', ...pair };
  }
  const turns = readConversation(format, row);
  if (isDrop(turns)) return turns;
  return space === 'sft' ? { kind: 'conversation', messages: turns } : { kind: 'answer', prompt: turns.slice(0, -1), response: turns.at(-1)?.content ?? '' };
}

const promptOf = (body: RowBody): readonly Message[] => (body.kind === 'conversation' ? body.messages.slice(0, -1) : body.prompt);

function textsOf(body: RowBody): RowTexts {
  const prompt = promptOf(body).map(({ content }) => content);
  const answers = body.kind === 'pair' ? [body.chosen, body.rejected] : [body.kind === 'answer' ? body.response : body.messages.at(-1)?.content ?? ''];
  return { texts: [...prompt, ...answers], answers };
}

/** What makes a second row a duplicate: one prompt may have many pairs. */
const identityOf = (body: RowBody, id: string): string => (body.kind === 'pair' ? hashCanonical([id, body.chosen, body.rejected]).slice(0, 16) : id);

/** A conversation gives an evaluation prompt away when the whole of it is one, and when it begins with one. */
function overlapsWith(heldOut: Pick<IdSet, 'has'>, id: string, prompt: readonly Message[]): boolean {
  if (heldOut.has(id)) return true;
  const first = prompt.find(({ role }) => role === 'user');
  return prompt.length > 1 && first !== undefined && heldOut.has(promptId([first]));
}

const listNames = (names: readonly string[]): string => (names.length === 0 ? 'none' : names.slice(0, 12).map((name) => name.slice(0, 40)).join(', ') + (names.length > 12 ? ' …' : ''));
