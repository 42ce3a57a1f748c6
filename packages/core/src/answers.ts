import type { Message } from './spec.ts';

/** A row of a data set after ingest: x and y_sft. */
export interface DataRow { readonly id: string; readonly prompt: readonly Message[]; readonly response: string }

/** A generated or taught answer as its table holds it. `text` and `finishReason` are null in a dropped row. */
export interface Answer { readonly text: string | null; readonly finishReason: string | null; readonly dropReason: string | null }

/** An answer cut short has no end: as a target it teaches endless text, as a rejected side it teaches not to stop. */
export const isUnfinished = ({ finishReason }: Answer): boolean => finishReason === 'length' || finishReason === 'content_filter';

export const assistantTurn = (content: string): readonly Message[] => [{ role: 'assistant', content }];

/** True for texts that differ in nothing but outer white space and the way accents are encoded (NFC): a model sees next to no difference. */
export const sameText = (a: string, b: string): boolean => a.trim().normalize('NFC') === b.trim().normalize('NFC');
