/** How large a data set is, as far as an estimate needs it. */
import type { IngestedRow } from './rows.ts';
import type { Message } from './spec.ts';

/** Characters (UTF-16 units) are sums over all rows. Of conversations, `prompt` holds the turns that are not the assistant's. */
export interface SetSize {
  readonly rows: number;
  readonly characters: {
    readonly prompt: number;
    /** y_sft, the assistant's turns, or the chosen side. */
    readonly answer: number;
    /** The rejected side; 0 but for pairs. */
    readonly rejected: number;
  };
}

export interface SetMeasure {
  add(row: IngestedRow): void;
  size(): SetSize;
  /** The first rows, for showing prompts. */
  head(): readonly IngestedRow[];
}

/** Memory: the first `headRows` rows. */
export function createSetMeasure(headRows: number): SetMeasure {
  const characters = { prompt: 0, answer: 0, rejected: 0 };
  const head: IngestedRow[] = [];
  let rows = 0;
  return {
    add(row) {
      rows += 1;
      if (head.length < headRows) head.push(row);
      if (row.kind === 'conversation') {
        for (const { role, content } of row.messages) characters[role === 'assistant' ? 'answer' : 'prompt'] += content.length;
        return;
      }
      characters.prompt += lengthOf(row.prompt);
      characters.answer += row.kind === 'pair' ? row.chosen.length : row.response.length;
      if (row.kind === 'pair') characters.rejected += row.rejected.length;
    },
    size: () => ({ rows, characters: { ...characters } }),
    head: () => head,
  };
}

const lengthOf = (prompt: readonly Message[]): number => prompt.reduce((sum, { content }) => sum + content.length, 0);
