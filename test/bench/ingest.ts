// Memory and time of taking in a large set of conversations: read, check, table written, by the code that runs use. Beside it what Python does with the file.
// node --conditions=source test/bench/ingest.ts [ROWS]     (peak memory is that of a process of its own)
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { finished } from 'node:stream/promises';
import { createFolderStore, createTables, openIngest } from '@sgpo/artifacts';
import type { DatasetSource } from '@sgpo/core';

interface Measured { readonly rows: number; readonly kept: number; readonly seconds: number; readonly cpuSeconds: number; readonly peakMb: number }

const [mode = '200000', file = '', folder = ''] = process.argv.slice(2);
if (mode === 'child') console.log(JSON.stringify(await ingest(file, folder)));
else await measureAll(Number(mode));

async function measureAll(rows: number): Promise<void> {
  const root = mkdtempSync(join(tmpdir(), 'sgpo-bench-'));
  try {
    const small = join(root, 'quarter.jsonl');
    const large = join(root, 'whole.jsonl');
    await writeRows(small, Math.round(rows / 4));
    await writeRows(large, rows);
    console.log(`${String(rows)} conversations, ${(statSync(large).size / 1e6).toFixed(0)} MB of JSON lines`);
    const quarter = show('ingest, a quarter of them', inChild(small, root));
    const whole = show('ingest', inChild(large, root));
    console.log(`peak memory of all to a quarter: ${(whole.peakMb / quarter.peakMb).toFixed(2)}`);
    show('Python json, all rows in a list', python('import json; rows = [json.loads(line) for line in open(path, encoding="utf-8")]', large, root));
    show('Python datasets, from JSON to Arrow', python('from datasets import load_dataset; rows = load_dataset("json", data_files=path, split="train", cache_dir=folder)', large, root));
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

function show(name: string, measured: Measured): Measured {
  const { rows, seconds, cpuSeconds, peakMb } = measured;
  console.log(`${name.padEnd(36)} ${peakMb.toFixed(0).padStart(6)} MB peak  ${seconds.toFixed(1).padStart(6)} s  ${cpuSeconds.toFixed(1).padStart(6)} s of CPU  ${(rows / seconds).toFixed(0).padStart(7)} rows/s`);
  return measured;
}

/** The step as the orchestrator runs it, without a database. */
async function ingest(path: string, root: string): Promise<Measured> {
  const source: DatasetSource = { path, hub: null, dataset: null, limit: null, format: 'auto', columns: null, malformed: 'fail', dropFlagged: [], sha256: null };
  const tables = createTables({ store: createFolderStore({ root: join(root, 'store') }), temporaryRoot: join(root, 'tmp') });
  const begun = performance.now();
  const opened = await openIngest({ source, space: 'sft', scores: 'check' }, { roots: [root], field: 'data.sft', environment: {}, cacheFolder: null });
  async function* conversations() {
    for await (const { row, sourceRow } of opened.rows()) if (row.kind === 'conversation') yield { id: row.id, pos: row.pos, messages: row.messages, source_row: sourceRow };
  }
  await tables.write({ id: 'string', pos: 'int', messages: 'messages', source_row: 'int' }, conversations());
  const seconds = (performance.now() - begun) / 1000;
  await tables.close();
  const { rowsIn, rowsOut } = opened.counts();
  const { user, system } = process.cpuUsage();
  return { rows: rowsIn, kept: rowsOut, seconds, cpuSeconds: (user + system) / 1e6, peakMb: process.resourceUsage().maxRSS / 1024 };
}

function inChild(path: string, root: string): Measured {
  const { stdout, stderr, status } = spawnSync(process.execPath, ['--conditions=source', import.meta.filename, 'child', path, root], { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as Measured;
}

function python(load: string, path: string, root: string): Measured {
  const home = process.env['SGPO_HOME'] ?? join(resolve(import.meta.dirname, '../..'), '.sgpo');
  const code = `import json, resource, sys, time; path, folder = sys.argv[1:]; begun = time.perf_counter(); ${load}; seconds = time.perf_counter() - begun; usage = resource.getrusage(resource.RUSAGE_SELF); `
    + 'print(json.dumps({"rows": len(rows), "kept": len(rows), "seconds": seconds, "cpuSeconds": usage.ru_utime + usage.ru_stime, "peakMb": usage.ru_maxrss / 1024}))';
  const { stdout, stderr, status } = spawnSync(join(home, 'venv/bin/python'), ['-c', code, path, join(root, 'python')], { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as Measured;
}

/** Conversations of two to eight turns, 1 to 10 kB, the same for every run. */
async function writeRows(path: string, rows: number): Promise<void> {
  let state = 0x2545f491;
  const random = (below: number): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
  const syllables = ['ka', 'to', 'mi', 'ren', 'sol', 'da', 'vi', 'el', 'or', 'un', 'tes', 'pra', 'ne', 'lo', 'shi', 'gra'];
  const words = Array.from({ length: 4096 }, () => Array.from({ length: 1 + random(4) }, () => syllables[random(syllables.length)]).join(''));
  const text = (length: number): string => Array.from({ length }, () => words[random(words.length)]).join(' ');
  const out = createWriteStream(path);
  for (let row = 0; row < rows; row += 1) {
    const messages = Array.from({ length: 2 * (1 + random(4)) }, (_, turn) => ({ content: text(turn % 2 === 0 ? 10 + random(40) : 50 + random(250)), role: turn % 2 === 0 ? 'user' : 'assistant' }));
    if (!out.write(`${JSON.stringify({ prompt: messages[0]?.content, prompt_id: String(row), messages })}\n`)) await once(out, 'drain');
  }
  out.end();
  await finished(out);
}
