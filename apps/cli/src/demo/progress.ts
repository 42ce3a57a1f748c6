import type { RunDetail } from '@sgpo/contracts';

type Step = RunDetail['steps'][number];

export interface StepProgress {
  readonly key: string;
  readonly label: string;
  readonly done: number;
  /** 0: it has nothing to count. */
  readonly total: number;
  readonly unit: 'rows' | 'steps';
  /** Rows it gave, once it has ended; null for steps without rows. */
  readonly rowsOut: number | null;
  readonly seconds: number | null;
  /** Per second, null while unknown. */
  readonly rate: number | null;
  readonly secondsLeft: number | null;
  readonly loss: number | null;
}

/** What was seen of a running step first: its rate is measured from there, so that a resumed step does not look faster than it is. */
export type Sightings = Map<string, { readonly at: number; readonly done: number }>;

const labels: Readonly<Record<Step['state'], string>> = { pending: 'waiting', running: 'running', succeeded: 'done', cached: 'cached', failed: 'failed', canceled: 'canceled' };

/**
 * Counts a step's work over its tasks: shards of rows, or the optimiser steps of a training. Merging is not counted, and what is done in one go
 * has nothing to count. A step whose tasks only exist waits still. `now` in milliseconds; `sightings` is added to.
 */
export function measureStep(step: Step, now: number, sightings: Sightings, loss: number | null): StepProgress {
  const counted = step.tasks.filter(({ role, unit }) => role === 'shard' || unit === 'steps');
  const isIdle = step.state === 'running' && step.tasks.every(({ state }) => state === 'pending' || state === 'ready');
  const total = counted.reduce((sum, task) => sum + task.rowsTotal, 0);
  const done = counted.reduce((sum, task) => sum + (task.state === 'succeeded' || task.state === 'cached' ? task.rowsTotal : task.rowsDone), 0);
  // A step begins with its first task: before, its tasks may have waited long for a worker.
  const starts = step.tasks.flatMap(({ startedAt }) => (startedAt === null ? [] : [Date.parse(startedAt)]));
  const began = starts.length > 0 ? Math.min(...starts) : null;
  const ended = step.endedAt === null ? null : Date.parse(step.endedAt);
  const seconds = began === null || isIdle || step.state === 'cached' ? null : Math.max(0, (ended ?? now) - began) / 1000;
  const rate = isIdle ? null : step.state === 'running' ? runningRate(step.key, done, now, sightings) : step.state === 'succeeded' && seconds !== null && seconds > 0 ? total / seconds : null;
  return {
    key: step.key, label: isIdle ? labels.pending : labels[step.state], done, total, unit: counted[0]?.unit ?? 'rows', rowsOut: step.rowsOut, seconds,
    rate: total > 0 ? rate : null, secondsLeft: step.state === 'running' && rate !== null && rate > 0 ? (total - done) / rate : null, loss,
  };
}

function runningRate(key: string, done: number, now: number, sightings: Sightings): number | null {
  const first = sightings.get(key);
  if (first === undefined || done < first.done) {
    sightings.set(key, { at: now, done });
    return null;
  }
  return done > first.done ? (done - first.done) / ((now - first.at) / 1000) : null;
}

const barWidth = 16;

/** One line: `generate-draft   ████████░░░░░░░░  16/32 rows    1.6/s  10 s left`. */
export function formatStep(progress: StepProgress, keyWidth: number): string {
  const { done, total, unit, rowsOut, rate, seconds, secondsLeft, loss, label } = progress;
  const share = label === 'done' || label === 'cached' ? 1 : total > 0 ? Math.min(1, done / total) : 0;
  const filled = Math.floor(share * barWidth);
  const parts = [
    progress.key.padEnd(keyWidth), `${'█'.repeat(filled)}${'░'.repeat(barWidth - filled)}`, label.padEnd(8),
    (total > 0 ? `${String(done)}/${String(total)} ${unit}` : rowsOut !== null && rowsOut > 0 ? `${String(rowsOut)} rows` : '').padEnd(14),
    rate === null ? ''.padEnd(8) : `${rate >= 10 ? rate.toFixed(0) : rate.toFixed(2)}/s`.padEnd(8),
    label === 'running' && secondsLeft !== null ? `${formatSeconds(secondsLeft)} left` : seconds === null ? '' : formatSeconds(seconds),
    loss === null ? '' : `loss ${loss.toFixed(4)}`,
  ];
  return parts.join('  ').trimEnd();
}

/** 59 s, 2 min 05 s. */
export function formatSeconds(seconds: number): string {
  const whole = Math.round(seconds);
  return whole < 60 ? `${String(whole)} s` : `${String(Math.floor(whole / 60))} min ${String(whole % 60).padStart(2, '0')} s`;
}
