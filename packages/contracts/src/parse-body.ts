import { SgpoError } from '@sgpo/core';
import type { ErrorCode } from '@sgpo/core';
import type { z } from 'zod';
import { problemsOf } from './problems.ts';

interface BodyOptions {
  /** What the body is called. */
  readonly root: string;
  readonly code?: ErrorCode;
  /** Fields whose value must not be repeated. */
  readonly secrets?: readonly string[];
}

/** Checks a JSON body against its schema and fills its defaults. Throws `code` (REQUEST.INVALID) with every problem found. */
export function parseBody<Schema extends z.ZodType>(schema: Schema, body: unknown, { root, code = 'REQUEST.INVALID', secrets = [] }: BodyOptions): z.output<Schema> {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const problems = problemsOf(parsed.error.issues, { input: body, schema, secrets, root });
  throw new SgpoError(code, problems[0]?.message ?? `${root} is not valid`, { remedy: 'Correct the fields that are named and send the request again', problems });
}
