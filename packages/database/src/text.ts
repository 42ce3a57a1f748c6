/** What Postgres refuses in text and jsonb: NUL and halves of surrogate pairs. Each becomes this mark. */
const mark = '\uFFFD';

const cleanText = (text: string): string => text.toWellFormed().replaceAll('\0', mark);

const isPlain = (value: object): boolean => {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
};

/** A copy of `value` whose strings and keys Postgres can hold. Dates, bytes, functions and other objects with a class of their own stay as they are. */
export function cleanValue(value: unknown): unknown {
  if (typeof value === 'string') return cleanText(value);
  if (Array.isArray(value)) return value.map(cleanValue);
  if (typeof value !== 'object' || value === null || !isPlain(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [cleanText(key), cleanValue(inner)]));
}

/**
 * The repository with the arguments of every method cleaned on their way in. This is the one place where it happens: lookups get it
 * too, so that a name or id from outside finds nothing instead of making the query fail.
 */
export function withCleanArguments<Repository extends object>(repository: Repository): Repository {
  return new Proxy(repository, {
    get(target, name, receiver): unknown {
      const member: unknown = Reflect.get(target, name, receiver);
      if (typeof member !== 'function') return member;
      return (...args: readonly unknown[]): unknown => Reflect.apply(member, target, args.map(cleanValue));
    },
  });
}
