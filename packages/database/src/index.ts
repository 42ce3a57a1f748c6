export * from './database.ts';
export * from './ids.ts';
export * from './migrate.ts';
export type * from './repositories.ts';
export * from './testing/database.ts';
