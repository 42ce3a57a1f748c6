export { createWorkerClient, type TaskRef, type WorkerClient, type WorkerDescription, type WorkerTls } from './client.ts';
export type { FinishedTask, WorkerEvent, WorkerFailureClass } from './task-event.ts';
export type { WorkerTaskSpec } from './task-spec.ts';
