/** True when an Accept header names `wanted` itself, and no other type of `others` with a higher weight. */
export function prefers(accept: string | undefined, wanted: string, others: readonly string[]): boolean {
  const weights = new Map<string, number>();
  for (const range of (accept ?? '').split(',')) {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase());
    const q = parameters.find((parameter) => parameter.startsWith('q='))?.slice(2);
    weights.set(type, q === undefined ? 1 : Number(q) || 0);
  }
  const weight = weights.get(wanted) ?? 0;
  return weight > 0 && others.every((other) => (weights.get(other) ?? 0) <= weight);
}
