// What the service costs while nothing runs: resident memory and CPU of API and orchestrator, over a minute.
// node --conditions=source test/bench/idle.ts [SECONDS]     (Linux: reads /proc)
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { startFleet } from '../e2e/fleet.ts';

const seconds = Number(process.argv[2] ?? 60);
const ticksPerSecond = Number(spawnSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }).stdout);
const parts = ['api', 'orchestrator'] as const;

const fleet = await startFleet();
const pidOf = (part: string): number => {
  const pid = fleet.stack.pid(part);
  if (pid === null) throw new Error(`${part} is down`);
  return pid;
};
/** User and system time so far, in seconds: fields 14 and 15, counted behind the name, which may hold spaces. */
const cpuSeconds = (pid: number): number => {
  const fields = readFileSync(`/proc/${String(pid)}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
};
const rssMb = (pid: number): number => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${String(pid)}/status`, 'utf8'))?.[1]) / 1024;

try {
  await sleep(10_000);
  const before = parts.map((part) => cpuSeconds(pidOf(part)));
  await sleep(seconds * 1000);
  const rows = parts.map((part, index) => ({ part, cpuPercent: ((cpuSeconds(pidOf(part)) - (before[index] ?? 0)) / seconds) * 100, rssMb: rssMb(pidOf(part)) }));
  for (const row of rows) console.log(`${row.part.padEnd(13)} ${row.cpuPercent.toFixed(2)} % of a core  ${row.rssMb.toFixed(0)} MB`);
  const sum = (pick: (row: typeof rows[number]) => number): number => rows.reduce((total, row) => total + pick(row), 0);
  console.log(`together      ${sum((row) => row.cpuPercent).toFixed(2)} % of a core  ${sum((row) => row.rssMb).toFixed(0)} MB`);
} finally {
  await fleet.stop();
}
