import type { Row } from '@sgpo/artifacts';

/** An answer of a model as core's rules take it. */
export interface Answer { readonly text: string | null; readonly finishReason: string | null; readonly dropReason: string | null }

/** Reads `<prefix>Text`, `<prefix>Finish` and `<prefix>Drop` of a joined row; a row the step never saw counts as missing. */
export function answerOf(row: Row, prefix: string): Answer {
  const text = row[`${prefix}Text`];
  const dropReason = row[`${prefix}Drop`];
  if (typeof text !== 'string') return { text: null, finishReason: null, dropReason: typeof dropReason === 'string' ? dropReason : 'missing' };
  return { text, finishReason: row[`${prefix}Finish`] as string | null, dropReason: typeof dropReason === 'string' ? dropReason : null };
}
