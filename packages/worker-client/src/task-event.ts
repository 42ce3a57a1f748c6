import type { Digest } from '@sgpo/core';
import { FailureClass, TaskOutcome, type Finished, type TaskEvent } from './gen/sgpo/worker/v1/worker_pb.ts';

export type WorkerFailureClass = 'invalid' | 'infrastructure' | 'resources';

export interface FinishedTask {
  readonly outcome: 'succeeded' | 'failed' | 'canceled' | 'checkpointed' | 'lost';
  readonly output: Digest | null;
  readonly rowsIn: number;
  readonly rowsOut: number;
  readonly dropped: Readonly<Record<string, number>>;
  readonly error: { readonly code: string; readonly failureClass: WorkerFailureClass; readonly message: string; readonly remedy: string } | null;
  readonly seconds: number;
  readonly peakRssBytes: number;
  readonly provenance: Readonly<Record<string, string>>;
}

/** One line of an attempt's journal. */
export type WorkerEvent = { readonly sequence: number } & (
  | { readonly kind: 'phase'; readonly name: string }
  | { readonly kind: 'progress'; readonly done: number; readonly total: number; readonly unit: 'rows' | 'steps' }
  | { readonly kind: 'metrics'; readonly step: number; readonly values: Readonly<Record<string, number>> }
  | { readonly kind: 'log'; readonly level: string; readonly message: string }
  | { readonly kind: 'finished'; readonly task: FinishedTask });

/** null for an event of a kind this client does not know: a newer worker may send more. */
export function fromWireEvent(wire: TaskEvent): WorkerEvent | null {
  const sequence = Number(wire.sequence);
  switch (wire.event.case) {
    case 'phase': return { sequence, kind: 'phase', name: wire.event.value.name };
    case 'progress': {
      const { done, total, unit } = wire.event.value;
      return { sequence, kind: 'progress', done: Number(done), total: Number(total), unit: unit === 'steps' ? 'steps' : 'rows' };
    }
    case 'metrics': return { sequence, kind: 'metrics', step: Number(wire.event.value.step), values: wire.event.value.values };
    case 'log': return { sequence, kind: 'log', level: wire.event.value.level, message: wire.event.value.message };
    case 'finished': return { sequence, kind: 'finished', task: finished(wire.event.value) };
    case undefined: return null;
  }
}

function finished(wire: Finished): FinishedTask {
  return {
    outcome: outcomes[wire.outcome as keyof typeof outcomes] ?? 'lost',
    output: wire.output === undefined ? null : wire.output.digest as Digest,
    rowsIn: Number(wire.rowsIn),
    rowsOut: Number(wire.rowsOut),
    dropped: Object.fromEntries(Object.entries(wire.dropped).map(([reason, rows]) => [reason, Number(rows)])),
    error: wire.error === undefined ? null : {
      code: wire.error.code, failureClass: failureClasses[wire.error.failureClass as keyof typeof failureClasses] ?? 'infrastructure', message: wire.error.message, remedy: wire.error.remedy,
    },
    seconds: wire.seconds,
    peakRssBytes: Number(wire.peakRssBytes),
    provenance: wire.provenance,
  };
}

// A value a newer worker sends and this client does not know counts as a loss, which is retried.
const outcomes = {
  [TaskOutcome.UNSPECIFIED]: 'lost',
  [TaskOutcome.SUCCEEDED]: 'succeeded',
  [TaskOutcome.FAILED]: 'failed',
  [TaskOutcome.CANCELED]: 'canceled',
  [TaskOutcome.CHECKPOINTED]: 'checkpointed',
  [TaskOutcome.LOST]: 'lost',
} as const satisfies Record<number, FinishedTask['outcome']>;

const failureClasses = {
  [FailureClass.UNSPECIFIED]: 'infrastructure',
  [FailureClass.INVALID]: 'invalid',
  [FailureClass.INFRASTRUCTURE]: 'infrastructure',
  [FailureClass.RESOURCES]: 'resources',
} as const satisfies Record<number, WorkerFailureClass>;
