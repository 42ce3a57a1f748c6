/** `lint` and `proto-python`: programs run one after the other, all of them even when one complains. */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { exitCodes, seconds } from './output.mjs';
import { root, venv } from './paths.mjs';

const bin = (/** @type {string} */ name) => join(root, 'node_modules', '.bin', name);
const python = (/** @type {string} */ name) => join(venv, 'bin', name);
const worker = join(root, 'python-worker');

/** @type {readonly {name: string, command: string, args: readonly string[], cwd: string}[]} */
const linters = [
  { name: 'tsc', command: bin('tsc'), args: ['-b'], cwd: root },
  { name: 'oxlint', command: bin('oxlint'), args: ['--type-aware'], cwd: root },
  { name: 'knip', command: bin('knip'), args: [], cwd: root },
  { name: 'buf', command: bin('buf'), args: ['lint'], cwd: root },
  { name: 'ruff', command: python('ruff'), args: ['check', '.'], cwd: worker },
  { name: 'mypy', command: python('mypy'), args: [], cwd: worker },
  { name: 'import-linter', command: python('lint-imports'), args: [], cwd: worker },
];

/** Node 24 runs the tools that npm links, whatever node is on PATH; import-linter imports the worker from its sources. */
const env = { ...process.env, PATH: `${join(root, 'node_modules', '.bin')}:${process.env['PATH'] ?? ''}`, PYTHONPATH: join(worker, 'src') };

/** Runs every checker; the exit code says whether all were content. */
export function lint() {
  /** @type {string[]} */
  const complaints = [];
  for (const { name, command, args, cwd } of linters) {
    const began = performance.now();
    console.log(`── ${name}`);
    const { status, error } = spawnSync(command, args, { cwd, env, stdio: 'inherit' });
    if (status !== 0) complaints.push(name);
    console.log(`   ${status === 0 ? 'ok' : `failed${error ? `: ${error.message}` : ''}`}, ${seconds(performance.now() - began)}`);
  }
  console.log(complaints.length === 0 ? 'lint: ok' : `lint: failed: ${complaints.join(', ')}`);
  return complaints.length === 0 ? exitCodes.ok : exitCodes.failed;
}

/** Generates the Python messages of proto/. */
export function generateProtoPython() {
  const lib = join(venv, 'lib');
  const include = readdirSync(lib).map((version) => `-I${join(lib, version, 'site-packages', 'grpc_tools', '_proto')}`);
  const out = join('python-worker', 'src');
  const args = ['-m', 'grpc_tools.protoc', '-Isgpo_worker/gen=proto/sgpo/worker/v1', ...include,
    `--python_out=${out}`, `--grpc_python_out=${out}`, `--pyi_out=${out}`, 'sgpo_worker/gen/worker.proto'];
  return spawnSync(python('python'), args, { cwd: root, stdio: 'inherit' }).status ?? exitCodes.failed;
}
