import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@sgpo/client';
import type { Study } from '@sgpo/contracts';
import { isTerminal, type Report } from '@sgpo/core';
import { exitCodes } from '../cli-error.ts';
import { followRun, pausedLine } from '../demo/follow.ts';
import { createPainter } from '../demo/painter.ts';
import { summarise } from '../demo/summary.ts';
import { writeJson, writeLines } from '../offline/write.ts';

interface WaitOptions { readonly json: boolean; readonly signal: AbortSignal }

const pollMs = 2_000;

/** Shows the run until it has ended or pauses, then its report. The exit code is 0 only when it succeeded. As JSON: the report, or the run that has none. */
export async function waitForRun(client: Client, id: string, { json, signal }: WaitOptions): Promise<number> {
  const painter = createPainter(json ? process.stderr : process.stdout);
  painter.say(`Run ${id}`);
  const run = await followRun(client, id, painter, signal);
  if (run.state !== 'succeeded') {
    painter.say(run.state === 'paused' ? pausedLine(run) : `Run ${id} ${run.state}${run.failure === null ? '' : `: ${run.failure.code}: ${run.failure.message}\nfix:  ${run.failure.remedy}`}`);
    if (json) writeJson(run);
    return exitCodes.failed;
  }
  const report = await client.report(id);
  if (json) writeJson(report);
  else writeLines(['', ...summarise(report as unknown as Report)]); // written by this product as core describes it
  return exitCodes.ok;
}

/** Tells what becomes of each run until none of them moves, then the report. The exit code is 0 only when all succeeded. */
export async function waitForStudy(client: Client, id: string, { json, signal }: WaitOptions): Promise<number> {
  const painter = createPainter(json ? process.stderr : process.stdout);
  const told = new Map<string, string>();
  for (;;) {
    signal.throwIfAborted();
    const study = await client.getStudy(id);
    for (const run of study.runs.filter((one) => told.get(one.id) !== one.state)) {
      told.set(run.id, run.state);
      const failure = run.failure === null ? '' : `: ${run.failure.code}: ${run.failure.message}`;
      painter.say(run.state === 'paused' ? pausedLine(run) : `${run.study?.label ?? run.preset}  ${run.id}  ${run.state}${failure}`);
    }
    if (study.runs.every(({ state }) => isTerminal('run', state) || state === 'paused')) return endStudy(client, study, json);
    await sleep(pollMs, undefined, { signal }).catch(() => undefined); // the loop's head tells why
  }
}

async function endStudy(client: Client, study: Study, json: boolean): Promise<number> {
  if (json) writeJson(await client.studyReport(study.id));
  else writeLines(['', await client.studyReportMarkdown(study.id)]);
  return study.runs.every(({ state }) => state === 'succeeded') ? exitCodes.ok : exitCodes.failed;
}
