import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createLimits } from '../limits.ts';
import { createTeacher } from '../teacher.ts';
import { fileBatches, fileLedger } from './file-stores.ts';
import { never, optionsFor, user } from './fixtures.ts';

/** A process that asks a teacher for all rows and says what it used: the one that a test kills. Arguments: folder, base URL, mode, rows. */
const [folder = '', url = '', mode = '', rows = ''] = process.argv.slice(2);
const teacher = createTeacher({
  options: optionsFor(url, { mode: mode === 'batch' ? 'batch' : 'requests' }), ledger: fileLedger(join(folder, 'ledger.jsonl')), batches: fileBatches(join(folder, 'batches.json')), limits: createLimits(),
  environment: {}, allowedHosts: ['127.0.0.1'], sleep: async (ms, signal) => { await delay(Math.min(ms, 20), undefined, { signal }); },
});
let answered = 0;
const usage = await teacher.askAll(() => Array.from({ length: Number(rows) }, (_, nth) => ({ id: String(nth), messages: user(`question ${String(nth)}`), sample: 0 })), never, (_id, { dropReason }) => {
  if (dropReason === null) answered += 1;
});
process.stdout.write(JSON.stringify({ ...usage, answered }));
process.exit(0);
