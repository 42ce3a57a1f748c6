import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { ApiError, createClient, type Client } from '@sgpo/client';
import type { Run, RunDetail, RunSpecBody } from '@sgpo/contracts';
import { isTerminal, type Report, type RunSpec, type TokenId } from '@sgpo/core';
import type { Database } from '@sgpo/database';
import { describeApiFailure } from '../api-failure.ts';
import { exitCodes } from '../cli-error.ts';
import type { CliConfig } from '../config.ts';
import { aborted, interruptedExitCode, onInterrupt } from '../interrupts.ts';
import { readSpecFile } from '../spec-file.ts';
import { startStack, type Stack } from '../stack.ts';
import { followRun, pausedLine } from './follow.ts';
import { createPainter, type Painter } from './painter.ts';
import { chooseLaunch, readRecord, writeRecord, type DemoRecord } from './record.ts';
import { demoSpecFile, fillSpec, hashSpec, type SpecChanges } from './spec.ts';
import { locate, summarise } from './summary.ts';

export interface DemoOptions extends SpecChanges {
  /** Another run spec than examples/demo.yaml. */
  readonly spec?: string;
  /** Copy of report.json. */
  readonly report?: string;
  /** Leave everything running when the run has ended. */
  readonly keep: boolean;
}

const tokenLifeMs = 24 * 3600 * 1000;
const modelName = 'smollm2-135m-instruct';

/** Starts the stack, runs a whole SGPO run on it and reports. Returns the exit code: 0 only when the run succeeded. */
export async function runDemo(config: CliConfig, options: DemoOptions): Promise<number> {
  const template = readSpecFile(demoSpecFile);
  const document = options.spec === undefined ? template : readSpecFile(resolve(config.userFolder, options.spec));
  const signal = onInterrupt();
  const painter = createPainter(process.stdout);
  const began = Date.now();
  let stack: Stack | null = null;
  try {
    painter.say(`Starting the stack in ${config.home}`);
    stack = await startStack(config, (line) => { painter.say(line); }, signal);
    await revokeLeftOverToken(config.home, stack.database);
    const { id, token } = await stack.database.tokens.create({ teamId: stack.teamId, name: 'demo', expiresAt: new Date(Date.now() + tokenLifeMs) });
    const parts = { modelPath: join(config.home, 'models', modelName), teacher: stack.teacher, userFolder: config.userFolder };
    const body = fillSpec(document, template, parts, options);
    const session = createSession(config.home, hashSpec(body), id);
    const client = createClient({ baseUrl: stack.url, token });
    try {
      const code = await Promise.race([stack.failed, runOnce({ config, options, client, body, session, painter, signal, began })]);
      if (options.keep) await keepUp(stack, token, painter, signal);
      return code;
    } finally {
      await endToken(stack.database, id, session, painter);
    }
  } catch (error) {
    if (!signal.aborted) throw describeApiFailure(error, `logs: ${join(config.home, 'logs')}`);
    painter.say('stopping; run it again to go on');
    return interruptedExitCode;
  } finally {
    await stack?.stop();
  }
}

/** Ends the token of a demo that was killed. */
export async function revokeLeftOverToken(home: string, database: Database): Promise<void> {
  const record = readRecord(home);
  if (record === null || record.tokenId === null) return;
  await database.tokens.revoke(record.tokenId as TokenId);
  writeRecord(home, { ...record, tokenId: null });
}

/** A database that is gone must not hide why: the token stays on record, and the next start revokes it. */
async function endToken(database: Database, id: TokenId, session: Session, painter: Painter): Promise<void> {
  try {
    await database.tokens.revoke(id);
    session.update({ tokenId: null });
  } catch (error) {
    painter.say(`The token of this demo could not be revoked yet: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** demo.json while a demo runs. */
interface Session { current(): DemoRecord; update(change: Partial<DemoRecord>): void; readonly specHash: string }

function createSession(home: string, specHash: string, tokenId: TokenId): Session {
  // Until it is known which run this will be, an unfinished one stays on record.
  let record: DemoRecord = { ...(readRecord(home) ?? { specHash, idempotencyKey: '', runId: null, finished: true }), tokenId };
  const update = (change: Partial<DemoRecord>): void => { record = { ...record, ...change }; writeRecord(home, record); };
  update({});
  return { current: () => record, update, specHash };
}

interface OneRun {
  readonly config: CliConfig; readonly options: DemoOptions; readonly client: Client; readonly body: RunSpecBody | RunSpec; readonly session: Session;
  readonly painter: Painter; readonly signal: AbortSignal; readonly began: number;
}

async function runOnce({ config, options, client, body, session, painter, signal, began }: OneRun): Promise<number> {
  const started = await launch(client, body, session, painter);
  painter.say(`Run ${started.id} (${started.preset})`);
  const run = await followRun(client, started.id, painter, signal);
  if (run.state === 'paused') {
    painter.say(pausedLine(run));
    return exitCodes.failed;
  }
  session.update({ finished: true });
  if (run.state !== 'succeeded') {
    explainFailure(run, config.home);
    return exitCodes.failed;
  }
  const report = await client.report(run.id) as unknown as Report; // written by this product as core describes it
  const digest = run.steps.find(({ kind }) => kind === 'report')?.output ?? '';
  const seconds = (Date.now() - began) / 1000;
  for (const line of ['', ...summarise(report), '', 'Results:', ...locate(report, join(config.home, 'artifacts', digest.slice(0, 2), digest), seconds)]) painter.say(line);
  if (options.report !== undefined) {
    const file = resolve(config.userFolder, options.report);
    writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`);
    painter.say(`Report written to ${file}`);
  }
  return 0;
}

/** Begins the run, or finds the one that was interrupted. */
async function launch(client: Client, body: RunSpecBody | RunSpec, session: Session, painter: Painter): Promise<Run> {
  const choice = chooseLaunch(session.current(), session.specHash);
  if (choice.cancelFirst !== null) await cancelUnfinished(client, choice.cancelFirst, painter);
  const run = await create(client, body, session, choice.idempotencyKey);
  if (!choice.resumes) return run;
  if (!isTerminal('run', run.state)) {
    painter.say('Going on with the run that was interrupted');
    return run;
  }
  // It had ended before anybody could note it.
  const again = chooseLaunch({ ...session.current(), finished: true }, session.specHash);
  return create(client, body, session, again.idempotencyKey);
}

async function create(client: Client, body: RunSpecBody | RunSpec, session: Session, idempotencyKey: string): Promise<Run> {
  session.update({ specHash: session.specHash, idempotencyKey, runId: null, finished: false });
  try {
    const run = await client.createRun(body, { idempotencyKey });
    session.update({ runId: run.id });
    return run;
  } catch (error) {
    // What is refused will never be a run.
    if (error instanceof ApiError && error.status !== null && error.status < 500) session.update({ finished: true });
    throw error;
  }
}

async function cancelUnfinished(client: Client, runId: string, painter: Painter): Promise<void> {
  try {
    await client.cancelRun(runId);
    painter.say(`Canceled the unfinished run ${runId}: it had another spec`);
  } catch (error) {
    if (!(error instanceof ApiError && (error.code === 'RUN.FINISHED' || error.code === 'RUN.NOT_FOUND'))) throw error;
  }
}

async function keepUp(stack: Stack, token: string, painter: Painter, signal: AbortSignal): Promise<void> {
  painter.say(`\nThe API stays up at ${stack.url}, until Ctrl-C.\nToken: ${token}`);
  await Promise.race([aborted(signal), stack.failed]);
  painter.say('stopping');
}

function explainFailure(run: RunDetail, home: string): void {
  const failed = run.steps.flatMap((step) => step.tasks.filter(({ failure }) => failure !== null).map((task) => ({ step: step.key, failure: task.failure })));
  const lines = [`Run ${run.id} ${run.state}`, ...(run.failure === null ? [] : [`  ${run.failure.code}: ${run.failure.message}`, `  fix: ${run.failure.remedy}`])];
  for (const { step, failure } of failed.slice(0, 3)) {
    if (failure !== null && failure.code !== run.failure?.code) lines.push(`  step ${step}: ${failure.code}: ${failure.message}`, `  fix: ${failure.remedy}`);
  }
  process.stderr.write(`${lines.join('\n')}\n  logs: ${join(home, 'logs')}\n`);
}
