import { Prisma } from './generated/client.ts';

/** A value of ours for a jsonb column that is never SQL null. What JSON cannot say (undefined, functions) is left out of it. */
export const toJson = (value: unknown): Prisma.InputJsonValue | typeof Prisma.JsonNull => (value === null ? Prisma.JsonNull : value as Prisma.InputJsonValue);

/** The same for a column that is: null means there is no value. */
export const toJsonOrNull = (value: unknown): Prisma.InputJsonValue | typeof Prisma.DbNull => (value === null || value === undefined ? Prisma.DbNull : value as Prisma.InputJsonValue);

/** Reads a jsonb column back. Only this package writes these columns, from values of type `T`, so the type is known. */
export const fromJson = <T>(value: Prisma.JsonValue): T => value as T;
