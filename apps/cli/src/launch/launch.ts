import { resolve } from 'node:path';
import { createClient, type Client } from '@sgpo/client';
import type { RunSpecBody, StudyBody } from '@sgpo/contracts';
import { describeApiFailure } from '../api-failure.ts';
import { CliError, exitCodes } from '../cli-error.ts';
import type { CliConfig } from '../config.ts';
import { interruptedExitCode, onInterrupt } from '../interrupts.ts';
import { writeJson, writeLines } from '../offline/write.ts';
import { isStudy, readSpecFile, withAbsolutePaths, type Section } from '../spec-file.ts';
import { formatEstimate } from './format-estimate.ts';
import { waitForPreview, waitForRun, waitForStudy } from './wait.ts';

export interface LaunchOptions {
  readonly file: string;
  readonly url?: string;
  readonly token?: string;
  readonly dryRun: boolean;
  /** null: no preview. */
  readonly previewRows: number | null;
  readonly wait: boolean;
  readonly json: boolean;
}

/**
 * Sends a run spec or a study to a service that runs, or asks it what the run would do and cost. Returns the exit code; throws CliError for what
 * the service refuses, and when there is none.
 */
export async function runLaunch(config: CliConfig, options: LaunchOptions): Promise<number> {
  const file = resolve(config.userFolder, options.file);
  const document = readSpecFile(file);
  const token = options.token ?? config.token;
  if (token === null) throw new CliError('No token is given', 'set SGPO_TOKEN; npx sgpo token create NAME makes a token', { exitCode: exitCodes.usage });
  const call: Call = {
    client: createClient({ baseUrl: options.url ?? config.remoteUrl ?? `http://127.0.0.1:${String(config.apiPort)}`, token }),
    body: withAbsolutePaths(document, config.userFolder), options, signal: onInterrupt(),
  };
  try {
    if (isStudy(document)) return await launchStudy(call, file);
    if (options.dryRun) return await estimate(call);
    return await (options.previewRows === null ? launchRun(call) : preview(call, options.previewRows));
  } catch (error) {
    if (call.signal.aborted) return interruptedExitCode;
    throw describeApiFailure(error, null);
  }
}

interface Call { readonly client: Client; readonly body: Section; readonly options: LaunchOptions; readonly signal: AbortSignal }

// The service refuses what is no spec or study, and says why: bodies are sent unseen.
const asRun = (body: Section): RunSpecBody => body as unknown as RunSpecBody;
const asStudy = (body: Section): StudyBody => body as unknown as StudyBody;

async function estimate({ client, body, options }: Call): Promise<number> {
  const found = await client.estimateRun(asRun(body));
  if (options.json) writeJson(found);
  else writeLines(formatEstimate(found));
  return exitCodes.ok;
}

/** The run is followed, not waited for in one request: on a busy fleet a preview takes longer than an HTTP client waits for its answer. */
async function preview({ client, body, options, signal }: Call, rows: number): Promise<number> {
  const { run } = await client.previewRun(asRun(body), { rows, waitSeconds: 0 });
  return waitForPreview(client, run.id, { json: options.json, signal });
}

async function launchRun(call: Call): Promise<number> {
  const { client, body, options } = call;
  const run = await client.createRun(asRun(body));
  if (options.wait) return waitForRun(client, run.id, { json: options.json, signal: call.signal });
  if (options.json) writeJson(run);
  else writeLines([`Run ${run.id} (${run.preset}) is ${run.state}`, `  GET /v1/runs/${run.id}         where it stands`, `  GET /v1/runs/${run.id}/report  its report, once it has ended`]);
  return exitCodes.ok;
}

async function launchStudy(call: Call, file: string): Promise<number> {
  const { client, body, options } = call;
  if (options.dryRun || options.previewRows !== null) {
    throw new CliError(`${file} is a study; ${options.dryRun ? 'an estimate' : 'a preview'} is of one run`, 'give the spec of one of its runs', { exitCode: exitCodes.usage });
  }
  const study = await client.createStudy(asStudy(body));
  if (options.wait) return waitForStudy(client, study.id, { json: options.json, signal: call.signal });
  if (options.json) writeJson(study);
  else {
    const runs = study.runs.map((run) => `  ${run.id}  ${run.study?.label ?? run.preset}`);
    writeLines([`Study ${study.id} (${study.name}) has ${String(runs.length)} runs`, ...runs, `  GET /v1/studies/${study.id}/report  the methods side by side, of what has ended so far`]);
  }
  return exitCodes.ok;
}
