export * from './consumer.ts';
export type * from './log.ts';
export * from './payloads.ts';
export * from './queues.ts';
export * from './relay.ts';
