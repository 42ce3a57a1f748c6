/** What a row says in each format: one conversation, or two answers to one prompt. */
import { drop, isDrop, type DroppedRow } from './row-drops.ts';
import type { RowFormat } from './row-formats.ts';
import type { RawRow } from './row-layout.ts';
import { isBlank } from './row-text.ts';
import { checkTurns, joinTurns, readTurns, type Turns } from './row-turns.ts';

/** The two sides of a preference row, each with its prompt. */
export interface RawPair { readonly chosen: Turns; readonly rejected: Turns }

/** The conversation of a row (of a preference row: the chosen one), whole and in order, or the first reason against it. */
export function readConversation(format: RowFormat, row: RawRow): Turns | DroppedRow {
  const turns = rawConversation(format, row);
  return isDrop(turns) ? turns : checkTurns(turns);
}

function rawConversation(format: RowFormat, row: RawRow): Turns | DroppedRow {
  switch (format) {
    case 'messages':
    case 'sharegpt': {
      const field = [format === 'messages' ? 'messages' : 'conversations', 'messages', 'conversations'].find((name) => Object.hasOwn(row, name)) ?? 'messages';
      return readTurns(row[field], field, 'assistant');
    }
    case 'instruction': return joinTurns(readInstruction(row), readTurns(row['output'], 'output', 'assistant'));
    case 'prompt-response': {
      const field = ['response', 'completion', 'reference'].find((name) => row[name] !== undefined && row[name] !== null) ?? 'response';
      return joinTurns(readTurns(row['prompt'], 'prompt', 'user'), readTurns(row[field], field, 'assistant'));
    }
    case 'helpsteer3': {
      const best = bestOfHelpSteer(row);
      return isDrop(best) ? best : joinTurns(readTurns(row['context'], 'context', 'user'), readTurns(row[best.chosen], best.chosen, 'assistant'));
    }
    case 'preference-messages': return readTurns(row['chosen'], 'chosen', 'assistant');
    case 'ultrafeedback':
    case 'tulu3-preference': return readSide(row, 'chosen');
  }
}

/** Both conversations of a preference row, checked, or the first reason against it. TypeError for other formats. */
export function readBothSides(format: RowFormat, row: RawRow): RawPair | DroppedRow {
  const [chosen, rejected] = rawSides(format, row).map((turns) => (isDrop(turns) ? turns : checkTurns(turns)));
  if (chosen === undefined || rejected === undefined) throw new TypeError(`rows of format ${format} have no two answers`);
  if (isDrop(chosen)) return chosen;
  return isDrop(rejected) ? drop(rejected.dropReason, `rejected: ${rejected.detail}`) : { chosen, rejected };
}

function rawSides(format: RowFormat, row: RawRow): readonly (Turns | DroppedRow)[] {
  switch (format) {
    case 'preference-messages': return [readTurns(row['chosen'], 'chosen', 'assistant'), readTurns(row['rejected'], 'rejected', 'assistant')];
    case 'ultrafeedback':
    case 'tulu3-preference': return [readSide(row, 'chosen'), readSide(row, 'rejected')];
    case 'helpsteer3': {
      const best = bestOfHelpSteer(row);
      if (isDrop(best)) return [best, best];
      const context = readTurns(row['context'], 'context', 'user');
      return [best.chosen, best.rejected].map((field) => joinTurns(context, readTurns(row[field], field, 'assistant')));
    }
    default: return [];
  }
}

/** One side of a row with a prompt column. A side of several turns carries its own prompt, system turn included; the column holds only the first user turn then. */
function readSide(row: RawRow, field: 'chosen' | 'rejected'): Turns | DroppedRow {
  const side = readTurns(row[field], field, 'assistant');
  return isDrop(side) || side.length !== 1 || side[0]?.role !== 'assistant' ? side : joinTurns(readTurns(row['prompt'], 'prompt', 'user'), side);
}

/** overall_preference goes from −3 to 3; below 0 the first response is the better one. */
function bestOfHelpSteer(row: RawRow): { readonly chosen: string; readonly rejected: string } | DroppedRow {
  const preference = row['overall_preference'];
  if (preference === null || preference === undefined) return drop('score_missing', 'overall_preference is null');
  if (typeof preference !== 'number' || !Number.isFinite(preference)) return drop('score_not_finite', 'overall_preference is no finite number');
  if (preference === 0) return drop('tied_scores', 'overall_preference is 0');
  return preference < 0 ? { chosen: 'response1', rejected: 'response2' } : { chosen: 'response2', rejected: 'response1' };
}

/** instruction, and input below it when there is one. */
function readInstruction(row: RawRow): Turns | DroppedRow {
  const { instruction, input = '' } = row;
  if (typeof instruction !== 'string') return drop('not_text', 'instruction is not text');
  if (input !== null && typeof input !== 'string') return drop('not_text', 'input is not text');
  return [{ role: 'user', content: input === null || isBlank(input) ? instruction : `${instruction}\n\n${input}` }];
}
