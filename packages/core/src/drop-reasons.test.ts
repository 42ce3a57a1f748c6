import { describe, expect, it } from 'vitest';
import { flaws } from './detect.ts';
import { explainDropReason } from './drop-reasons.ts';
import { rowDropReasons } from './row-drops.ts';
import { rowFlags } from './row-formats.ts';

/** Reasons of steps outside core: those of workers and of the teacher. */
const worker = ['prompt_too_long', 'empty_response', 'too_long', 'identical_tokens'];
const teacher = ['teacher_refused', 'teacher_empty', 'teacher_rejected', 'teacher_failed'];
const answers = ['prompt_too_long', ...teacher, 'missing'];
const filter = ['too_short', 'not_finite', 'perplexity_low', 'perplexity_high', 'empty_response', 'too_long', ...answers];

/** Everything a step of a plan may give as a reason or a flag. */
const reasons = [
  ...rowDropReasons, ...rowFlags, ...worker, ...teacher, ...filter,
  'not_scored', 'teacher_unfinished', 'copy_of_draft', ...flaws.map((flaw) => `target_${flaw}`),
  ...[...answers, ...flaws, 'unfinished'].map((reason) => `replay_${reason}`), 'not_replayed', 'unfinished_kept',
  'identical', ...['rejected', 'chosen'].flatMap((side) => [...answers, 'unfinished', 'empty'].map((reason) => `${side}_${reason}`)), ...flaws.map((flaw) => `chosen_${flaw}`),
  'answer_missing_value', 'score_missing_value', ...answers.map((reason) => `answer_${reason}`), ...worker.map((reason) => `score_${reason}`),
];

describe('explainDropReason', () => {
  it.each([...new Set(reasons)])('%s has a meaning', (reason) => { expect(explainDropReason(reason)).toMatch(/^[a-z].{10,}[^.]$/); });
  it('names the part of the row a reason belongs to', () => {
    expect(explainDropReason('rejected_prompt_too_long')).toBe('rejected side: the prompt leaves no room for an answer');
    expect(explainDropReason('answer_teacher_failed')).toMatch(/^held-out answer: the teacher gave no answer/);
  });
  it('takes whole reasons before parts', () => { expect(explainDropReason('score_missing')).toBe('a score is missing'); });
  it('knows no other', () => {
    for (const reason of ['', 'gone', 'constructor', '_', 'target_', 'target_gone', 'empty_', 'toString_empty']) expect(explainDropReason(reason)).toBeNull();
  });
});
