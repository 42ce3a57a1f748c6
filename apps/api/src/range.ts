/** What a Range header asks for: both ends included; null: the whole file; 'unsatisfiable': nothing of it lies in the file. */
export type RequestedRange = { readonly start: number; readonly end: number } | null | 'unsatisfiable';

/** RFC 9110, Section 14: one range of bytes. Several ranges, other units and what cannot be read are ignored, as the RFC allows. */
export function readRange(header: string | undefined, total: number): RequestedRange {
  const match = /^bytes=\s*(\d{0,15})-(\d{0,15})\s*$/.exec(header ?? '');
  if (match === null) return null;
  const [, from = '', to = ''] = match;
  if (from === '' && to === '') return null;
  if (from === '') {
    const length = Math.min(Number(to), total);
    return length === 0 ? 'unsatisfiable' : { start: total - length, end: total - 1 };
  }
  const start = Number(from);
  const end = to === '' ? total - 1 : Math.min(Number(to), total - 1);
  if (to !== '' && Number(to) < start) return null;
  return start >= total ? 'unsatisfiable' : { start, end };
}

/** True when an If-None-Match header holds the tag; weak tags count. */
export function matchesTag(header: string | undefined, tag: string): boolean {
  return header !== undefined && header.split(',').some((part) => part.trim() === '*' || part.trim().replace(/^W\//, '') === tag);
}
