import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@sgpo/client';
import type { Run, RunDetail, Study } from '@sgpo/contracts';
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
    painter.say(unsuccessful(run));
    if (json) writeJson(run);
    return exitCodes.failed;
  }
  const report = await client.report(id);
  if (json) writeJson(report);
  else writeLines(['', ...summarise(report as unknown as Report)]); // written by this product as core describes it
  return exitCodes.ok;
}

/** Shows a preview's run on stderr until it has ended or pauses, then the preview. The exit code is 0 only when there is one. As JSON: the run, and the preview or null. */
export async function waitForPreview(client: Client, id: string, { json, signal }: WaitOptions): Promise<number> {
  const painter = createPainter(process.stderr);
  painter.say(`Preview ${id}; when this command is interrupted, GET /v1/runs/${id}/report gives it once it has ended`);
  const run = await followRun(client, id, painter, signal);
  const isThere = run.state === 'succeeded';
  if (!isThere) painter.say(unsuccessful(run));
  if (json) writeJson({ run, result: isThere ? await client.report(id) : null });
  else if (isThere) writeLines([await client.reportMarkdown(id)]);
  return isThere ? exitCodes.ok : exitCodes.failed;
}

function unsuccessful(run: RunDetail): string {
  const { id, state, failure } = run;
  return state === 'paused' ? pausedLine(run) : `Run ${id} ${state}${failure === null ? '' : `: ${failure.code}: ${failure.message}\nfix:  ${failure.remedy}`}`;
}

/** Tells what becomes of each run until none of them moves, then the report. The exit code is 0 only when all succeeded. */
export async function waitForStudy(client: Client, id: string, { json, signal }: WaitOptions): Promise<number> {
  const painter = createPainter(json ? process.stderr : process.stdout);
  const told = new Map<string, string>();
  painter.say(`Study ${id}; it goes on when this command is interrupted: GET /v1/studies/${id}`);
  for (;;) {
    signal.throwIfAborted();
    const study = await client.getStudy(id);
    const width = Math.max(...study.runs.map((run) => labelOf(run).length));
    for (const run of study.runs.filter((one) => told.get(one.id) !== one.state)) {
      told.set(run.id, run.state);
      const failure = run.failure === null ? '' : `: ${run.failure.code}: ${run.failure.message}`;
      painter.say(run.state === 'paused' ? pausedLine(run) : `  ${labelOf(run).padEnd(width)}  ${run.id}  ${run.state}${failure}`);
    }
    if (study.runs.every(({ state }) => isTerminal('run', state) || state === 'paused')) return endStudy(client, study, json);
    await sleep(pollMs, undefined, { signal }).catch(() => undefined); // the loop's head tells why
  }
}

/** A method, and its seed where one is on record: runs of one method differ in it. */
const labelOf = ({ study, preset }: Run): string => (study === null ? preset : `${study.label}, seed ${String(study.seed)}`);

async function endStudy(client: Client, study: Study, json: boolean): Promise<number> {
  if (json) writeJson(await client.studyReport(study.id));
  else writeLines(['', await client.studyReportMarkdown(study.id)]);
  return study.runs.every(({ state }) => state === 'succeeded') ? exitCodes.ok : exitCodes.failed;
}
