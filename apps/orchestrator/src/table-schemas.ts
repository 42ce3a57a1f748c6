import type { TableSchema } from '@sgpo/artifacts';

/** Columns of every table this product writes; workers' tables as in worker.proto. */
export const tableSchemas = {
  /** Rows of a data set after ingest; source_row counts the rows of its files, from 0. */
  rows: { id: 'string', pos: 'int', prompt: 'messages', response: 'string', source_row: 'int' },
  /** The same of a set of conversations, for Step 0. */
  conversations: { id: 'string', pos: 'int', messages: 'messages', source_row: 'int' },
  /** The same of given pairs. */
  preferences: { id: 'string', pos: 'int', prompt: 'messages', chosen: 'string', rejected: 'string', source_row: 'int' },
  /** What a model is asked, for generate and teach. */
  requests: { id: 'string', pos: 'int', messages: 'messages' },
  scoreInput: { id: 'string', pos: 'int', messages: 'messages', response: 'string', hypothesis: 'string' },
  generate: {
    id: 'string', pos: 'int', text: 'string', token_ids: 'tokens', finish_reason: 'string', prompt_tokens: 'int', completion_tokens: 'int', drop_reason: 'string',
  },
  teach: { id: 'string', pos: 'int', text: 'string', finish_reason: 'string', prompt_tokens: 'int', completion_tokens: 'int', drop_reason: 'string' },
  score: { id: 'string', pos: 'int', sum_logprob: 'double', tokens: 'int', end_logprob: 'double', chrf: 'double', drop_reason: 'string' },
  verdicts: { id: 'string', pos: 'int', target: 'string', perplexity: 'double', drop_reason: 'string' },
  sft: { id: 'string', prompt: 'messages', completion: 'messages', unfinished: 'boolean' },
  pairs: { id: 'string', prompt: 'messages', chosen: 'messages', rejected: 'messages', chosen_unfinished: 'boolean', rejected_unfinished: 'boolean' },
  measures: { model: 'string', reference_perplexity: 'double', chrf: 'double', length: 'double', unfinished: 'double', rows: 'int' },
} as const satisfies Record<string, TableSchema>;
