/** What the machine must offer. Every check throws a SetupError that names the fix. */
import { existsSync, mkdirSync, rmSync, statfsSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { ask } from './commands.mjs';
import { SetupError } from './output.mjs';

const GIB = 1024 ** 3;

/** @param {string} version as in process.versions.node */
export function checkNode(version) {
  if (Number(version.split('.')[0]) < 20) {
    throw new SetupError(`Node ${version} runs this: 20 or newer is needed`, 'install Node 20 or newer (https://nodejs.org); Node 24 itself comes with the packages');
  }
}

const probe = `
import sys
try:
    import ensurepip, venv
    complete = "yes"
except ImportError:
    complete = "no"
print("%d.%d.%d" % sys.version_info[:3], complete)
`;

/**
 * @typedef {{command: string, version: string}} Python
 * @typedef {(command: string, args: readonly string[]) => string | null} Ask
 */

/** @param {string} version */
export const isNewEnoughPython = (version) => {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major === 3 && minor >= 11;
};

/**
 * The first Python 3.11 or newer that can make virtual environments: SGPO_PYTHON, or the usual names on PATH.
 * @param {NodeJS.ProcessEnv} env
 * @param {Ask} [asked]
 * @returns {Python}
 */
export function findPython(env, asked = ask) {
  const wanted = env['SGPO_PYTHON'];
  const candidates = wanted ? [wanted] : ['python3.13', 'python3.12', 'python3.11', 'python3.14', 'python3'];
  /** @type {string[]} */
  const seen = [];
  let withoutVenv = '';
  for (const command of candidates) {
    const [version = '', complete = ''] = (asked(command, ['-c', probe]) ?? '').split(' ');
    if (version === '') continue;
    if (isNewEnoughPython(version) && complete === 'yes') return { command, version };
    if (isNewEnoughPython(version)) withoutVenv = withoutVenv || version;
    seen.push(`${command} is ${version}`);
  }
  if (withoutVenv !== '') {
    const [, minor] = withoutVenv.split('.');
    throw new SetupError(`Python ${withoutVenv} has no module venv or ensurepip`, `Debian and Ubuntu: apt install python3-venv (or python3.${minor}-venv); or SGPO_PYTHON=<path of another Python 3.11 or newer>`);
  }
  const found = wanted ? `SGPO_PYTHON=${wanted} does not run as Python 3.11 or newer` : 'no Python 3.11 or newer on PATH';
  throw new SetupError(`${found}${seen.length > 0 ? ` (${seen.join(', ')})` : ''}`, 'install Python 3.11 or newer with its venv module, or set SGPO_PYTHON to its path');
}

/**
 * A folder that can be written, made when absent.
 * @param {string} folder
 * @param {string} name the variable it comes from
 */
export function checkWritable(folder, name) {
  const file = join(folder, `.write-${process.pid}`);
  try {
    mkdirSync(folder, { recursive: true });
    writeFileSync(file, '');
    rmSync(file);
  } catch (error) {
    throw new SetupError(`${name} ${folder} cannot be written: ${error instanceof Error ? error.message : String(error)}`, `give it to your user (chown), or set ${name === 'SGPO_HOME' ? name : 'another checkout folder'} to a folder that you can write`);
  }
}

/**
 * @param {string} folder
 * @param {number} needGib
 * @param {(folder: string) => number} [freeBytes]
 */
export function checkSpace(folder, needGib, freeBytes = (path) => { const disk = statfsSync(path); return disk.bavail * disk.bsize; }) {
  const free = freeBytes(folder) / GIB;
  if (free < needGib) {
    throw new SetupError(`${folder} has ${free.toFixed(1)} GiB free: a first set-up needs ${needGib}`, 'make room, or set SGPO_HOME to a folder on a larger disk');
  }
}

/**
 * Postgres refuses to run as root and is started as `nobody`, who must pass through every parent folder.
 * @param {readonly {path: string, other: string}[]} paths folders that `nobody` must reach, and what else than opening them helps
 * @param {boolean} isRoot
 */
export function checkPassable(paths, isRoot) {
  if (!isRoot) return;
  for (const { path, other } of paths) {
    for (let folder = resolve(path); ; folder = dirname(folder)) {
      if (existsSync(folder) && (statSync(folder).mode & 0o001) === 0) {
        throw new SetupError(
          `${folder} is closed to other users (mode ${(statSync(folder).mode & 0o777).toString(8)}), and Postgres, which never runs as root, must pass through it to ${path}`,
          `chmod o+x ${folder}, or ${other}, or run as another user than root`,
        );
      }
      if (folder === dirname(folder)) break;
    }
  }
}
