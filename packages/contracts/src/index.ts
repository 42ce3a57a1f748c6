export * from './problem.ts';
export * from './problems.ts';
export * from './rest.ts';
export * from './routes.ts';
export * from './run-spec.ts';
