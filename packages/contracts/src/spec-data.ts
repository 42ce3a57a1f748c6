import { rowFlags, rowFormats } from '@sgpo/core';
import { z } from 'zod';
import { count, digest, secretReference, text } from './spec-fields.ts';

const hub = z.strictObject({
  repo: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,95}(?:\/[A-Za-z0-9][A-Za-z0-9._-]{0,95})?$/, { error: 'Give a data set repository as owner/name' }),
  revision: z.string().regex(/^[A-Za-z0-9._/-]{1,200}$/, { error: 'Give a branch, a tag or a commit' }).default('main').describe('Branch, tag or commit; the commit is put on record'),
  config: text(200).nullable().default(null).describe('Subset of the repository'),
  split: z.string().regex(/^[A-Za-z0-9._-]{1,100}$/, { error: 'Give the name of a split, such as train' }).default('train'),
  token: secretReference('the hub').nullable().default(null).describe('env:NAME of the variable with the token, or null'),
});

/** Rows from a file or folder, a hub repository, or a registered data set. */
export const datasetSource = z.strictObject({
  path: text().nullable().default(null).describe('JSONL, JSON or Parquet, plain, .gz or .zst: a file, folder or glob in one of the allowed folders, or s3://bucket/key'),
  hub: hub.nullable().default(null),
  dataset: text(200).nullable().default(null).describe('Name of a registered data set'),
  limit: count(1, 2 ** 31 - 1).nullable().default(null).describe('Keep the first rows only'),
  format: z.enum(['auto', ...rowFormats]).default('auto').describe('Shape of the rows; auto: told by the columns, and reported'),
  columns: z.record(text(100), text(200)).nullable().default(null).describe('Column the format reads → column of the file'),
  malformed: z.enum(['drop', 'fail']).default('drop').describe('Lines that are not JSON: counted, or the end of the run'),
  dropFlagged: z.array(z.enum(rowFlags)).max(rowFlags.length).default([]).describe('Flags that drop a row instead of being counted only'),
  sha256: digest.nullable().default(null).describe('What the bytes must hash to; filled in for registered data sets'),
}).meta({ id: 'DatasetSource' });

export const data = z.strictObject({
  sft: datasetSource.nullable().default(null).describe('Conversations of Step 0; null: the model is π₀ already'),
  improver: datasetSource.nullable().default(null).describe('D_imp'),
  policy: datasetSource.nullable().default(null).describe('D_pol'),
  preferences: datasetSource.nullable().default(null).describe('Given pairs'),
  heldOut: datasetSource.nullable().default(null),
  heldOutOverlap: z.enum(['drop', 'keep']).default('drop').describe('Rows whose prompt is in the held-out set'),
  scores: z.enum(['check', 'ignore']).default('check').describe('check drops given pairs whose scores are missing, not finite, huge, tied or inverted'),
}).meta({ id: 'Data' });
