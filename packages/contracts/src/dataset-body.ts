import { SgpoError } from '@sgpo/core';
import type { z } from 'zod';
import { parseBody } from './parse-body.ts';
import { problem } from './problems.ts';
import { datasetBodySchema } from './rest.ts';
import { sourceConflicts } from './source-conflicts.ts';

/** The body of POST /v1/datasets with its defaults. Throws REQUEST.INVALID with every problem found. */
export function parseDatasetBody(body: unknown): z.output<typeof datasetBodySchema> {
  const parsed = parseBody(datasetBodySchema, body, { root: 'data set', secrets: ['source.hub.token'] });
  const { source } = parsed;
  const conflicts = source.dataset === null ? sourceConflicts('source', source)
    : [problem('source.dataset', source.dataset, 'source.dataset names a registered data set; a registered one cannot stand for another', 'Give source.path or source.hub')];
  const [first] = conflicts;
  if (first !== undefined) throw new SgpoError('REQUEST.INVALID', first.message, { remedy: first.fix, problems: conflicts });
  return parsed;
}
