/** Ports: whether one is free, and who holds it. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { ask } from './commands.mjs';
import { SetupError } from './output.mjs';

/**
 * null when `port` can be bound, else the error's code.
 * @param {number} port
 * @param {string} host
 * @returns {Promise<string | null>}
 */
export function portProblem(port, host) {
  return new Promise((answer) => {
    const server = createServer();
    server.once('error', (error) => { answer('code' in error ? String(error.code) : error.message); });
    server.listen({ port, host, exclusive: true }, () => { server.close(() => { answer(null); }); });
  });
}

/** @param {string} path */
function readOrEmpty(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return ''; // the process has just ended, or is another user's
  }
}

/** @param {string} folder */
function listOrEmpty(folder) {
  try {
    return readdirSync(folder);
  } catch {
    return []; // likewise
  }
}

/** @param {string} path */
function linkOrEmpty(path) {
  try {
    return readlinkSync(path);
  } catch {
    return ''; // likewise
  }
}

/**
 * "name (pid N)" of the process that listens on `port`, or null when the system does not tell.
 * @param {number} port
 * @returns {string | null}
 */
export function portOwner(port) {
  if (process.platform !== 'linux') {
    const pid = ask('lsof', ['-nP', `-iTCP:${port}`, '-sTCP:LISTEN', '-t'])?.split('\n')[0];
    return pid ? `${ask('ps', ['-o', 'comm=', '-p', pid]) ?? 'a process'} (pid ${pid})` : null;
  }
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  const listening = '0A';
  /** @type {Set<string>} */
  const sockets = new Set();
  for (const line of `${readOrEmpty('/proc/net/tcp')}${readOrEmpty('/proc/net/tcp6')}`.split('\n')) {
    const [, local = '', , state, , , , , , inode = ''] = line.trim().split(/\s+/);
    if (state === listening && local.endsWith(`:${hex}`)) sockets.add(`socket:[${inode}]`);
  }
  for (const pid of listOrEmpty('/proc').filter((name) => /^\d+$/.test(name))) {
    if (listOrEmpty(`/proc/${pid}/fd`).some((fd) => sockets.has(linkOrEmpty(`/proc/${pid}/fd/${fd}`)))) {
      return `${readOrEmpty(`/proc/${pid}/comm`).trim()} (pid ${pid})`;
    }
  }
  return null;
}

/**
 * The port of the API: SGPO_PORT, by default 8080; 0 lets the system choose.
 * @param {string | undefined} text
 * @returns {number}
 */
export function parsePort(text) {
  const port = Number(text ?? '8080');
  if (!/^\d+$/.test(text ?? '8080') || port > 65_535) {
    throw new SetupError(`SGPO_PORT=${text} is not a port`, 'set SGPO_PORT to a number from 0 to 65535 (0: any free port)');
  }
  return port;
}

/**
 * @param {number} port
 * @param {string} host
 */
export async function checkPort(port, host) {
  const problem = await portProblem(port, host);
  if (problem === null) return;
  if (problem === 'EACCES') throw new SetupError(`port ${port} needs more rights`, 'set SGPO_PORT to a port above 1023');
  const owner = portOwner(port);
  throw new SetupError(`port ${port} of the API is taken${owner === null ? '' : ` by ${owner}`}${problem === 'EADDRINUSE' ? '' : ` (${problem})`}`, 'end that process, or choose another port: SGPO_PORT=8090 (0: any free port)');
}
