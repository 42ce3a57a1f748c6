import { readFileSync } from 'node:fs';
import { credentials, status, type ChannelCredentials, type ServiceError } from '@grpc/grpc-js';
import { SgpoError, type Digest } from '@sgpo/core';
import { CancelMode, WorkerService } from './gen/sgpo/worker/v1/worker_pb.ts';
import { createRpcClient } from './rpc.ts';
import { fromWireEvent, type WorkerEvent } from './task-event.ts';
import { toWireSpec, type WorkerTaskSpec } from './task-spec.ts';

export interface WorkerDescription {
  readonly id: string;
  readonly instanceId: string;
  readonly engine: string;
  readonly deterministic: boolean;
  readonly deviceKind: string;
  readonly devices: readonly string[];
  readonly slots: number;
  readonly draining: boolean;
  readonly warmModel: Digest | null;
  readonly versions: Readonly<Record<string, string>>;
}

export interface TaskRef { readonly taskId: string; readonly fence: bigint }

/** One worker. Every method throws SgpoError: WORKER.UNREACHABLE (try again), WORKER.LOST (the worker does not know the attempt, or a newer one), WORKER.REJECTED (the spec). */
export interface WorkerClient {
  describe(): Promise<WorkerDescription>;
  /** Idempotent. False when the worker has no free slot (or drains). */
  start(input: TaskRef & { readonly attempt: number; readonly leaseSeconds: number; readonly labels: Readonly<Record<string, string>>; readonly spec: WorkerTaskSpec }): Promise<boolean>;
  /** The journal after `afterSequence`, then live; ends after the finished event, or throws WORKER.UNREACHABLE when the stream breaks. */
  watch(ref: TaskRef, afterSequence: number, signal: AbortSignal): AsyncIterable<WorkerEvent>;
  renew(ref: TaskRef, leaseSeconds: number): Promise<void>;
  cancel(ref: TaskRef, mode: 'now' | 'at-checkpoint'): Promise<void>;
  close(): void;
}

/** Files of a client certificate for mTLS. */
export interface WorkerTls { readonly caFile: string; readonly certFile: string; readonly keyFile: string }

const callTimeoutMs = 10_000;

/** `address` is host:port. Keepalive finds a stalled peer in about 25 s, longer than a worker's own stop grace. */
export function createWorkerClient(address: string, tls: WorkerTls | null): WorkerClient {
  const rpc = createRpcClient(WorkerService, address, channelCredentials(tls), {
    'grpc.keepalive_time_ms': 15_000, 'grpc.keepalive_timeout_ms': 10_000, 'grpc.keepalive_permit_without_calls': 0,
    'grpc.initial_reconnect_backoff_ms': 200, 'grpc.max_reconnect_backoff_ms': 3_000, 'grpc.enable_retries': 0,
  });
  const settings = { timeoutMs: callTimeoutMs };
  const call = async <T>(what: string, run: () => Promise<T>): Promise<T> => {
    try { return await run(); } catch (error) { throw workerError(error, address, what); }
  };
  return {
    describe: () => call('GetWorker', async () => {
      const w = await rpc.getWorker({}, settings);
      return {
        id: w.workerId, instanceId: w.instanceId, engine: w.engine, deterministic: w.deterministic, deviceKind: w.deviceKind, devices: w.devices, slots: w.slots,
        draining: w.draining, warmModel: w.warmModelDigest === '' ? null : w.warmModelDigest as Digest, versions: w.versions,
      };
    }),
    async start(input) {
      // Outside the try: a spec that cannot be mapped says nothing about the worker.
      const spec = toWireSpec(input.spec);
      try {
        await rpc.startTask({ taskId: input.taskId, attempt: input.attempt, fence: input.fence, leaseSeconds: input.leaseSeconds, labels: input.labels, spec }, settings);
        return true;
      } catch (error) {
        if (isServiceError(error) && error.code === status.RESOURCE_EXHAUSTED) return false;
        throw workerError(error, address, 'StartTask');
      }
    },
    async *watch(ref, afterSequence, signal) {
      try {
        for await (const { event } of rpc.watchTask({ ...wireRef(ref), afterSequence: BigInt(afterSequence) }, { signal })) {
          const mapped = event === undefined ? null : fromWireEvent(event);
          if (mapped !== null) yield mapped;
        }
      } catch (error) {
        if (signal.aborted) return;
        throw workerError(error, address, 'WatchTask');
      }
    },
    renew: (ref, leaseSeconds) => call('RenewLease', async () => { await rpc.renewLease({ ...wireRef(ref), leaseSeconds }, settings); }),
    cancel: (ref, mode) => call('CancelTask', async () => {
      await rpc.cancelTask({ ...wireRef(ref), mode: mode === 'now' ? CancelMode.NOW : CancelMode.AT_CHECKPOINT }, settings);
    }),
    close: () => { rpc.close(); },
  };
}

const wireRef = (ref: TaskRef): { taskId: string; fence: bigint } => ({ taskId: ref.taskId, fence: ref.fence });

function channelCredentials(tls: WorkerTls | null): ChannelCredentials {
  return tls === null ? credentials.createInsecure() : credentials.createSsl(readFileSync(tls.caFile), readFileSync(tls.keyFile), readFileSync(tls.certFile));
}

const isServiceError = (error: unknown): error is ServiceError => error instanceof Error && 'code' in error && typeof error.code === 'number' && 'details' in error;

/** gRPC status → our code. A worker's own words are shown only where they are about the spec. */
function workerError(error: unknown, address: string, what: string): SgpoError {
  if (error instanceof SgpoError) return error;
  const code = isServiceError(error) ? error.code : status.UNKNOWN;
  const details = isServiceError(error) ? error.details : String(error);
  switch (code) {
    case status.INVALID_ARGUMENT:
      return new SgpoError('WORKER.REJECTED', `Worker ${address} refuses the task: ${details}`, { remedy: 'Correct the named field of the spec and launch a new run', cause: error });
    case status.NOT_FOUND:
    case status.FAILED_PRECONDITION:
      return new SgpoError('WORKER.LOST', `Worker ${address} no longer has the attempt (${what}: ${details})`, { remedy: 'The task is started again by itself', cause: error });
    default:
      return new SgpoError('WORKER.UNREACHABLE', `Worker ${address} does not answer ${what} (${status[code] ?? String(code)})`, {
        remedy: 'Check that the worker runs and that its address in SGPO_WORKERS is right', cause: error,
      });
  }
}
