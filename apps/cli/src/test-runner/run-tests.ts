import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkout, type CliConfig } from '../config.ts';
import { findFreePort } from '../embedded/ports.ts';
import { preparePostgres } from '../embedded/postgres.ts';
import { supervise, type ProcessSpec, type SupervisedProcess } from '../embedded/processes.ts';
import { prepareValkey } from '../embedded/valkey.ts';
import { interruptedExitCode, onInterrupt } from '../interrupts.ts';
import { inSeconds } from '../parts.ts';
import { addCounts, countJunit, countVitest, formatCounts, type Counts } from './counts.ts';
import { suites, type Suite } from './suites.ts';

const say = (line: string): void => { process.stdout.write(`${line}\n`); };

interface Servers { readonly databaseUrl: string; readonly redisUrl: string; stop(): Promise<void> }

/**
 * Runs the suites one after the other against a Postgres and a Valkey started for them (unless SGPO_TEST_DATABASE_URL or SGPO_TEST_REDIS_URL
 * names one), and ends with the line `tests: N passed, N failed, N skipped`. Returns 1 when a test failed or a suite had none.
 */
export async function runTests(config: CliConfig, suite: Suite | undefined, filters: readonly string[]): Promise<number> {
  const wanted = suite === undefined ? suites : [suite];
  const signal = onInterrupt();
  const folder = mkdtempSync(join(tmpdir(), 'sgpo-test-'));
  chmodSync(folder, 0o755); // Postgres may run as another user
  let servers: Servers | null = null;
  try {
    servers = await startServers(config, folder, signal);
    const results: { readonly suite: Suite; readonly counts: Counts; readonly ms: number }[] = [];
    for (const name of wanted) {
      say(`── ${name}`);
      const began = performance.now();
      results.push({ suite: name, counts: await runSuite(name, { config, filters, folder, servers, signal }), ms: performance.now() - began });
      if (signal.aborted) return interruptedExitCode;
    }
    say('');
    for (const { suite: name, counts, ms } of results) say(`${name.padEnd(7)} ${formatCounts(counts)}, ${inSeconds(ms)}`);
    const sum = addCounts(results.map(({ counts }) => counts));
    const empty = results.filter(({ counts }) => counts.passed + counts.failed === 0);
    for (const { suite: name } of empty) say(`${name}: no test was run`);
    say(`tests: ${formatCounts(sum)}`);
    return sum.failed > 0 || empty.length > 0 ? 1 : 0;
  } catch (error) {
    if (signal.aborted) return interruptedExitCode;
    throw error;
  } finally {
    await servers?.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function startServers(config: CliConfig, folder: string, signal: AbortSignal): Promise<Servers> {
  const running: SupervisedProcess[] = [];
  const stop = async (): Promise<void> => { for (const server of running.toReversed()) await server.stop(); };
  const launch = async (spec: ProcessSpec): Promise<void> => {
    signal.throwIfAborted();
    const server = supervise(spec, { say, onGiveUp: (error) => { say(error.message); } });
    running.push(server);
    await server.ready;
  };
  try {
    let databaseUrl = process.env['SGPO_TEST_DATABASE_URL'];
    if (databaseUrl === undefined) {
      // Nothing here outlives the tests, so nothing need reach the disk.
      const settings = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', max_connections: '300' };
      const postgres = await preparePostgres({ home: folder, logFile: join(folder, 'postgres.log'), port: await findFreePort(), settings });
      await launch(postgres.process);
      databaseUrl = postgres.url;
    }
    let redisUrl = process.env['SGPO_TEST_REDIS_URL'];
    if (redisUrl === undefined) {
      const valkey = prepareValkey({ environment: join(config.home, 'venv'), folder: join(folder, 'valkey'), logFile: join(folder, 'valkey.log'), port: await findFreePort() });
      await launch(valkey.process);
      redisUrl = valkey.url;
    }
    return { databaseUrl, redisUrl, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

interface SuiteContext { readonly config: CliConfig; readonly filters: readonly string[]; readonly folder: string; readonly servers: Servers; readonly signal: AbortSignal }

async function runSuite(suite: Suite, { config, filters, folder, servers, signal }: SuiteContext): Promise<Counts> {
  const results = join(folder, `${suite}.results`);
  const isPython = suite === 'python';
  const command = isPython ? config.python : process.execPath;
  const args = isPython
    ? ['-m', 'pytest', '-q', `--junitxml=${results}`, ...filters]
    : [join(checkout, 'node_modules/vitest/vitest.mjs'), 'run', '--project', suite, '--passWithNoTests', '--reporter=default', '--reporter=json', `--outputFile.json=${results}`, ...filters];
  const code = await run(command, args, {
    cwd: isPython ? join(checkout, 'python-worker') : checkout, signal,
    env: {
      ...process.env, SGPO_HOME: config.home, SGPO_TEST_DATABASE_URL: servers.databaseUrl, SGPO_TEST_REDIS_URL: servers.redisUrl,
      OMP_WAIT_POLICY: 'PASSIVE', PATH: `${join(checkout, 'node_modules/.bin')}:${process.env['PATH'] ?? ''}`,
    },
  });
  if (!existsSync(results)) return { passed: 0, failed: code === 0 ? 0 : 1, skipped: 0 };
  const text = readFileSync(results, 'utf8');
  const counts = isPython ? countJunit(text) : countVitest(text);
  // A runner that complains without naming a test (an error beside the tests) has failed all the same.
  return code === 0 || counts.failed > 0 || signal.aborted ? counts : { ...counts, failed: 1 };
}

function run(command: string, args: readonly string[], { cwd, env, signal }: { readonly cwd: string; readonly env: NodeJS.ProcessEnv; readonly signal: AbortSignal }): Promise<number> {
  return new Promise((done, fail) => {
    const child = spawn(command, args, { cwd, env, stdio: 'inherit' });
    const stop = (): void => { child.kill('SIGTERM'); };
    signal.addEventListener('abort', stop, { once: true });
    child.once('error', fail);
    child.once('exit', (code) => { signal.removeEventListener('abort', stop); done(code ?? 1); });
  });
}
