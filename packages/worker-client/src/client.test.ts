import { create } from '@bufbuild/protobuf';
import { Server, ServerCredentials, status, type ServerUnaryCall, type ServerWritableStream, type sendUnaryData, type UntypedServiceImplementation } from '@grpc/grpc-js';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Digest, SgpoError } from '@sgpo/core';
import { createWorkerClient, type WorkerClient } from './client.ts';
import { GetWorkerResponseSchema, StartTaskResponseSchema, TaskOutcome, WatchTaskResponseSchema, WorkerService, type StartTaskRequest, type WatchTaskRequest, type WatchTaskResponse } from './gen/sgpo/worker/v1/worker_pb.ts';
import { serviceDefinition } from './rpc.ts';
import type { WorkerEvent } from './task-event.ts';

/** The far side of the network: a real gRPC server that answers as the test says. */
let server: Server;
let client: WorkerClient;
let started: StartTaskRequest[];
let refuse: { code: status; details: string } | null;
const digest = 'a'.repeat(64) as Digest;

const journal = (sequence: number): WatchTaskResponse => create(WatchTaskResponseSchema, {
  event: sequence < 4
    ? { sequence: BigInt(sequence), event: { case: 'progress', value: { done: BigInt(sequence), total: 4n, unit: 'rows' } } }
    : { sequence: 4n, event: { case: 'finished', value: { outcome: TaskOutcome.SUCCEEDED, output: { digest }, rowsIn: 4n, rowsOut: 3n, dropped: { prompt_too_long: 1n } } } },
});

beforeEach(async () => {
  started = [];
  refuse = null;
  server = new Server();
  const implementation: UntypedServiceImplementation = {
    getWorker: (_call: unknown, reply: sendUnaryData<unknown>) => { reply(null, create(GetWorkerResponseSchema, { workerId: 'w1', slots: 2, engine: 'transformers', deterministic: true })); },
    startTask: (call: ServerUnaryCall<StartTaskRequest, unknown>, reply: sendUnaryData<unknown>) => {
      if (refuse !== null) { reply(refuse); return; }
      started.push(call.request);
      reply(null, create(StartTaskResponseSchema, { started: true }));
    },
    watchTask: (call: ServerWritableStream<WatchTaskRequest, WatchTaskResponse>) => {
      for (let sequence = Number(call.request.afterSequence) + 1; sequence <= 4; sequence += 1) {
        if (sequence === 3 && call.request.afterSequence === 0n) { call.emit('error', { code: status.UNAVAILABLE, details: 'gone' }); return; }
        call.write(journal(sequence));
      }
      call.end();
    },
    renewLease: (_call: unknown, reply: sendUnaryData<unknown>) => { reply({ code: status.FAILED_PRECONDITION, details: 'fence 7 is newer' }); },
    cancelTask: (_call: unknown, reply: sendUnaryData<unknown>) => { reply(null, {}); },
    drain: (_call: unknown, reply: sendUnaryData<unknown>) => { reply(null, {}); },
  };
  server.addService(serviceDefinition(WorkerService), implementation);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => { if (error === null) resolve(bound); else reject(error); });
  });
  client = createWorkerClient(`127.0.0.1:${String(port)}`, null);
});
afterEach(() => { client.close(); server.forceShutdown(); });

const ref = { taskId: 'tsk_1', fence: 9007199254740993n };
const generate = {
  ...ref, attempt: 1, leaseSeconds: 30, labels: { run_id: 'run_1' },
  spec: {
    kind: 'generate' as const, model: digest, input: digest, seed: 7, sampleIndex: 0,
    sampling: { temperature: 0.7, topP: 0.9, maxNewTokens: 48, maxLength: 512, blockRows: 16, dtype: 'float32' as const },
  },
};
const codeOf = (call: Promise<unknown>): Promise<string> => call.then(() => 'ok', (error: SgpoError) => error.code);

test('a worker is described', async () => {
  expect(await client.describe()).toMatchObject({ id: 'w1', slots: 2, warmModel: null, deterministic: true });
});

test('a task spec arrives whole, with fences beyond 2^53', async () => {
  expect(await client.start(generate)).toBe(true);
  expect(started[0]).toMatchObject({ taskId: 'tsk_1', fence: 9007199254740993n, spec: { case: 'generate', value: { topP: 0.9, maxNewTokens: 48, blockRows: 16, seed: 7n } } });
});

test('a stream that breaks is taken up after the last event seen', async () => {
  const seen: WorkerEvent[] = [];
  const watch = async (after: number): Promise<void> => { for await (const event of client.watch(ref, after, new AbortController().signal)) seen.push(event); };
  expect(await codeOf(watch(0))).toBe('WORKER.UNREACHABLE');
  await watch(seen.at(-1)!.sequence);
  expect(seen.map((event) => event.sequence)).toEqual([1, 2, 3, 4]);
  expect(seen.at(-1)).toMatchObject({ kind: 'finished', task: { outcome: 'succeeded', output: digest, rowsIn: 4, rowsOut: 3, dropped: { prompt_too_long: 1 } } });
});

test.each([
  [status.INVALID_ARGUMENT, 'WORKER.REJECTED'], [status.UNAVAILABLE, 'WORKER.UNREACHABLE'], [status.FAILED_PRECONDITION, 'WORKER.LOST'], [status.INTERNAL, 'WORKER.UNREACHABLE'],
])('status %i becomes %s', async (code, expected) => {
  refuse = { code, details: 'training.learning_rate: -1: must be above 0' };
  expect(await codeOf(client.start(generate))).toBe(expected);
});

test('a worker without a free slot says so', async () => {
  refuse = { code: status.RESOURCE_EXHAUSTED, details: 'no slot' };
  expect(await client.start(generate)).toBe(false);
});

test('an old fence is told from a worker that is away', async () => {
  expect(await codeOf(client.renew(ref, 30))).toBe('WORKER.LOST');
  server.forceShutdown();
  expect(await codeOf(client.describe())).toBe('WORKER.UNREACHABLE');
});
