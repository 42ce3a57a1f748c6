#!/usr/bin/env node
/**
 * `npx sgpo COMMAND`, or `node apps/cli/bootstrap/main.mjs COMMAND`: makes sure that everything is installed, then runs the command on Node 24.
 * Uses nothing but what Node 20 brings, and does again only what has changed.
 */
import { spawn } from 'node:child_process';
import { chmodSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { generateProtoPython, lint } from './checkers.mjs';
import { checkNode, checkPassable, checkSpace, checkWritable, findPython } from './checks.mjs';
import { stopRunning } from './commands.mjs';
import { ensureModel } from './model.mjs';
import { arePackagesInPlace, ensurePackages } from './npm-packages.mjs';
import { exitCodes, say, seconds, SetupError } from './output.mjs';
import { home, node24, root, userFolder } from './paths.mjs';
import { checkPort, parsePort, portOwner, portProblem } from './ports.mjs';
import { livingHolder } from './process-start.mjs';
import { ensurePython, isFirstSetup } from './python-packages.mjs';
import { withSetupLock } from './setup-lock.mjs';

const usage = `Usage: npx sgpo COMMAND [options]   (before the first set-up: npm run sgpo -- COMMAND; or npm run demo | start | test | lint)

  demo               a whole small run on this machine, with its report
  start              the service with its own Postgres, Valkey, worker and teacher
  launch -f FILE     a run or a study on a service that runs; or what it would cost
  test [SUITE]       tests: unit, python, e2e, or all of them
  token create NAME  a token for the REST API of this SGPO_HOME
  lint               every checker
  proto-python       Python messages from proto/

Without any service:
  recipes            the presets, what each needs, its options and defaults
  plan               the steps of a preset or a spec
  data check PATH    what a run would read of a data set, and what it would drop

  COMMAND --help     options of a command

Environment: SGPO_HOME (default .sgpo in the checkout), SGPO_PORT (default 8080), SGPO_PYTHON, SGPO_TORCH_INDEX
(package index for PyTorch alone: one with CPU builds saves gigabytes on a machine without a GPU), DATABASE_URL, REDIS_URL.
Exit codes: 0 done, 1 failed, 2 wrong usage or unusable input, 3 set-up failed, 130 interrupted.
`;

/**
 * @typedef {object} Needs What a command needs beside the packages of npm.
 * @property {readonly ('torch' | 'base' | 'embedded' | 'model' | 'dev')[]} layers of Python packages
 * @property {boolean} model the small model
 * @property {boolean} serves it listens on the API's port
 * @property {boolean} home it keeps something in SGPO_HOME
 */

/** @type {Needs} */
const packagesAlone = { layers: [], model: false, serves: false, home: false };

/** @type {Record<string, Needs>} */
const commands = {
  'demo': { layers: ['torch', 'base', 'embedded', 'model'], model: true, serves: true, home: true },
  'start': { layers: ['torch', 'base', 'embedded', 'model'], model: true, serves: true, home: true },
  'test': { layers: ['torch', 'base', 'embedded', 'model', 'dev'], model: true, serves: false, home: true },
  'token': { ...packagesAlone, home: true },
  'launch': packagesAlone,
  'recipes': packagesAlone,
  'plan': packagesAlone,
  'data': packagesAlone,
  'lint': { layers: ['torch', 'base', 'dev'], model: false, serves: false, home: true },
  'proto-python': { layers: ['torch', 'base', 'dev'], model: false, serves: false, home: true },
};

const isRoot = process.getuid?.() === 0;

/** A stack holds this SGPO_HOME: then the command itself says so, better than a check of ports can. */
const stackRuns = () => livingHolder(join(home, 'stack.lock')) !== null;

/**
 * The port for the API as the child's SGPO_PORT. The demo, whose port nobody has to know, evades a taken default.
 * @param {string} command
 */
async function choosePort(command) {
  if (process.env['SGPO_LISTEN'] || stackRuns()) return process.env['SGPO_PORT'];
  const port = parsePort(process.env['SGPO_PORT']);
  if (port === 0) return '0';
  if (command === 'demo' && process.env['SGPO_PORT'] === undefined && await portProblem(port, '127.0.0.1') !== null) {
    say(`port ${port} is taken by ${portOwner(port) ?? 'another process'}: the demo uses a free one (SGPO_PORT chooses)`);
    return '0';
  }
  await checkPort(port, '127.0.0.1');
  return String(port);
}

/** @param {string} command one of the table, or '' for the packages of npm alone */
async function setUp(command) {
  const needs = commands[command] ?? packagesAlone;
  const { layers, model, serves } = needs;
  const began = performance.now();
  checkNode(process.versions.node);
  // Then nothing is written and nobody waited for: such a command also runs beside a set-up, and in a checkout that cannot be written.
  if (!needs.home && arePackagesInPlace()) return;
  const fresh = !existsSync(home);
  checkWritable(root, 'the checkout');
  checkWritable(home, 'SGPO_HOME');
  if (isRoot && fresh) chmodSync(home, 0o755); // a strict umask must not close it to Postgres, which runs as nobody
  if (isRoot) process.umask(0o022);
  if (layers.includes('embedded') && !process.env['DATABASE_URL']) {
    checkPassable([{ path: root, other: 'move the checkout to an open folder' }, { path: home, other: 'set SGPO_HOME to an open folder' }], isRoot);
  }
  if (layers.length > 0 && isFirstSetup()) { findPython(process.env); checkSpace(home, 6); }
  if (serves) await choosePort(command);
  await withSetupLock(home, async () => {
    const parts = [ensurePackages(), ...(layers.length > 0 ? [ensurePython(layers)] : [])];
    try {
      await Promise.all(parts);
    } catch (error) {
      stopRunning();
      await Promise.allSettled(parts);
      throw error;
    }
    if (model) await ensureModel();
  });
  say(`everything is in place, ${seconds(performance.now() - began)}`);
}

/**
 * Runs the product's own command line on Node 24, with the terminal attached. It leaves when its channel to us closes.
 * @param {readonly string[]} args
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<number>}
 */
function runCommand(args, env) {
  return new Promise((done) => {
    const child = spawn(node24, ['--conditions=source', '--disable-warning=ExperimentalWarning', join(root, 'apps/cli/src/main.ts'), ...args], {
      cwd: root, env, stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    });
    for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) process.on(signal, () => { child.kill(signal); });
    child.once('exit', (code, signal) => {
      if (signal !== null) process.stderr.write(`sgpo: the command was ended by ${signal}\n`);
      done(code ?? (signal === 'SIGINT' ? exitCodes.interrupted : exitCodes.failed));
    });
  });
}

/** @param {readonly string[]} args */
async function main(args) {
  const command = args[0] ?? '';
  if (!Object.hasOwn(commands, command)) {
    const asked = ['--help', '-h', 'help'].includes(command);
    (asked ? process.stdout : process.stderr).write(command === '' || asked ? usage : `No such command: ${command}\n\n${usage}`);
    return asked ? exitCodes.ok : exitCodes.usage;
  }
  const needs = commands[command];
  const interrupted = () => { stopRunning(); say('interrupted; run it again to go on'); process.exit(exitCodes.interrupted); };
  process.on('SIGINT', interrupted).on('SIGTERM', interrupted);
  const helpOnly = args.includes('--help') || args.includes('-h');
  await setUp(helpOnly ? '' : command);
  if (command === 'lint') return lint();
  if (command === 'proto-python') return generateProtoPython();
  const port = needs?.serves && !helpOnly ? await choosePort(command) : process.env['SGPO_PORT'];
  process.off('SIGINT', interrupted).off('SIGTERM', interrupted);
  return runCommand(args, { ...process.env, SGPO_HOME: home, INIT_CWD: userFolder, ...(port === undefined ? {} : { SGPO_PORT: port }) });
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  stopRunning();
  if (!(error instanceof SetupError)) throw error;
  process.stderr.write(`\nsgpo: ${error.message}\nfix:  ${error.fix}\n`);
  process.exitCode = exitCodes.setup;
}
