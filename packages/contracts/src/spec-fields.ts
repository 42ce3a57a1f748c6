/** Kinds of values that several sections of a spec hold. */
import { z } from 'zod';

const isStorable = (text: string): boolean => text.isWellFormed() && !text.includes('\0');
/** Text that Postgres can hold. */
export const text = (maximum = 4096): z.ZodString => z.string().min(1).max(maximum)
  .refine(isStorable, { error: 'holds a NUL or half of a surrogate pair', params: { fix: 'Remove that character' } });

export const count = (minimum: number, maximum: number): z.ZodInt => z.int().min(minimum).max(maximum);
export const positive = (maximum: number): z.ZodNumber => z.number().positive().max(maximum);
export const share = (maximum: number): z.ZodNumber => z.number().min(0).max(maximum);
export const dtype = z.enum(['float32', 'bfloat16']);
export const temperature = z.number().min(0).max(2).describe('0 is greedy');
export const topP = positive(1);

/** Decoding of all data in the paper (Section 4). */
export const defaultDecoding = { temperature: 0.7, topP: 0.9 } as const;
export const defaultWarmupRatio = 0.1;

/** Names a variable; a secret itself would be stored with the run and shown by the API. */
export const secretReference = (owner: string): z.ZodString => z.string().max(4096).refine((value) => /^env:[A-Za-z_][A-Za-z0-9_]{0,199}$/.test(value), {
  error: 'must name an environment variable of the service; keys are never written into a spec',
  params: { fix: 'Set the key as a variable of the orchestrator and write env:NAME' },
}).refine((value) => !/^env:(?:DATABASE_URL$|REDIS_URL$|SGPO_TOKEN$|AWS_)/.test(value), {
  error: 'names a setting of the service itself', params: { fix: `Name the variable that holds the key of ${owner}` },
});

export const digest = z.string().regex(/^[0-9a-f]{64}$/, { error: 'Give 64 lower-case hex digits' });

export const modelSource = z.strictObject({
  path: text().nullable().default(null).describe('Hugging Face folder in one of the allowed folders'),
  artifact: digest.nullable().default(null).describe('Digest of a model artifact'),
  from: z.strictObject({
    run: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, { error: 'Give the id of a run as the API shows it' }),
    model: z.string().regex(/^[a-z0-9-]{1,40}$/, { error: 'Give final, pi0, improver, or round1, round2 …' }).default('final').describe('final, pi0, improver, round1, round2 …'),
  }).nullable().default(null).describe('A model of a finished run'),
}).meta({ id: 'ModelSource' });
