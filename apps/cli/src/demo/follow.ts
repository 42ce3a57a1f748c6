import { setTimeout as sleep } from 'node:timers/promises';
import { ApiError, type Client } from '@sgpo/client';
import type { Metrics, Run, RunDetail } from '@sgpo/contracts';
import { isTerminal } from '@sgpo/core';
import type { Painter } from './painter.ts';
import { measureStep, type Sightings } from './progress.ts';

const pollMs = 1_000;
/** Longest time without an answer: a restarted API is back within seconds. */
const outageMs = 60_000;

/** Shows the run until it has ended or pauses, and returns it as it then is. Throws what the API refuses, and the reason of `signal` when that aborts. */
export async function followRun(client: Client, runId: string, painter: Painter, signal: AbortSignal): Promise<RunDetail> {
  const sightings: Sightings = new Map();
  let answered = Date.now();
  for (;;) {
    signal.throwIfAborted();
    try {
      const run = await client.getRun(runId);
      const losses = run.steps.some(isTraining) ? lastLosses(await client.metrics(runId)) : new Map<string, number>();
      answered = Date.now();
      painter.paint(run.steps.map((step) => measureStep(step, answered, sightings, losses.get(step.key) ?? null)));
      if (isTerminal('run', run.state) || run.state === 'paused') return run;
    } catch (error) {
      const isOutage = error instanceof ApiError && (error.status === null || error.status === 503);
      if (!isOutage || Date.now() - answered > outageMs) throw error;
    }
    await sleep(pollMs, undefined, { signal }).catch(() => undefined); // the loop's head tells why
  }
}

/** What a paused run waits for. */
export const pausedLine = ({ id, pauseReason, budget }: Pick<Run, 'id' | 'pauseReason' | 'budget'>): string =>
  `Run ${id} is paused (${pauseReason ?? 'no reason given'})${isBudget(budget) ? `, its budget is ${shownBudget(budget)}` : ''}: POST /v1/runs/${id}/resume goes on with it`
  + (pauseReason === 'budget' ? ', with a larger one, as {"budget": {"cost": 50}} or {"budget": {"tokens": 100000}}' : '');

const isBudget = ({ tokens, cost }: Run['budget']): boolean => tokens !== null || cost !== null;
const shownBudget = ({ tokens, cost }: Run['budget']): string => [...(tokens === null ? [] : [`${String(tokens)} tokens`]), ...(cost === null ? [] : [`${String(cost)} in the currency of the price`])].join(' and ');

const isTraining = ({ kind, state }: RunDetail['steps'][number]): boolean => (kind === 'sft' || kind === 'dpo') && state !== 'pending';

/** Step key → the loss logged last. */
function lastLosses({ series }: Metrics): Map<string, number> {
  return new Map(series.filter(({ name }) => name === 'loss').flatMap(({ stepKey, points }) => {
    const value = points.at(-1)?.value ?? null;
    return value === null ? [] : [[stepKey, value] as const];
  }));
}
