import { SgpoError } from '@sgpo/core';

/**
 * The key a teacher's `apiKey` (`env:NAME` or null) names, read once. Throws TEACHER.KEY_MISSING, whose message names the variable and never its value:
 * for a variable that is not set or blank, and for a value that no HTTP header can hold.
 */
export function readTeacherKey(apiKey: string | null, environment: Readonly<Record<string, string | undefined>>): string | null {
  if (apiKey === null) return null;
  const name = /^env:([A-Za-z_][A-Za-z0-9_]*)$/.exec(apiKey)?.[1];
  if (name === undefined) throw missing('is not env:NAME', 'Set the key as a variable of the orchestrator and write env:NAME');
  const key = (environment[name] ?? '').trim();
  if (key === '') throw missing(`names the environment variable ${name}, which is not set`, `Set ${name} where the orchestrator starts, or set teacher.apiKey to null when the server needs no key`);
  if (!/^[\x21-\x7e]+$/.test(key)) throw missing(`names the environment variable ${name}, whose value holds characters that no key has`, `Set ${name} to the bare key: ASCII, one line, no spaces`);
  return key;
}

function missing(message: string, fix: string): SgpoError {
  return new SgpoError('TEACHER.KEY_MISSING', `teacher.apiKey ${message}`, { remedy: fix, problems: [{ field: 'teacher.apiKey', message, fix }] });
}
