import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createFolderStore } from '../store.ts';

// Run as a process of its own and killed at any moment: what stands in the store afterwards must be whole.
const [root = '', die = ''] = process.argv.slice(2);
const store = createFolderStore({ root });
for (let count = 0; ; count += 1) {
  const { digest } = await store.publish(async (dir) => {
    for (const name of ['a', 'b', 'c']) await writeFile(join(dir, name), Buffer.alloc(200_000, `${String(process.pid)} ${String(count)} ${name}`));
    if (die === 'before-rename') process.kill(process.pid, 'SIGKILL');
  });
  process.stdout.write(`${digest}\n`);
}
