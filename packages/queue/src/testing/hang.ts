/** A process that takes one job of `local`, says so, and never ends it: to be killed. Arguments: Redis URL, prefix. */
import { createQueues, startConsumer } from '../index.ts';

const [redisUrl = '', prefix = ''] = process.argv.slice(2);
startConsumer({
  queues: createQueues({ redisUrl, prefix }), queue: 'local', concurrency: 1, log: { info: () => undefined, warn: () => undefined, error: () => undefined },
  handle: ({ taskId }) => new Promise(() => { console.log(taskId); }),
});
