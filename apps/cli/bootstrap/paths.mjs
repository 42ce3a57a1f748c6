/** Where things lie. */
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The checkout. */
export const root = fileURLToPath(new URL('../../../', import.meta.url)).replace(/\/$/, '');

/** npm changes to the checkout before it runs a script; this is where the user was. */
export const userFolder = process.env['INIT_CWD'] ?? process.cwd();

/** Everything that set-up and the embedded stack keep. */
export const home = resolve(userFolder, process.env['SGPO_HOME'] || join(root, '.sgpo'));

export const venv = join(home, 'venv');
export const venvPython = join(venv, 'bin', 'python');
export const logs = join(home, 'logs');
export const node24 = join(root, 'node_modules', 'node', 'bin', 'node');
