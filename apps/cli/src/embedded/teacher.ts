import { join } from 'node:path';
import { checkout } from '../config.ts';
import { isEvent, waitForLine } from './log-file.ts';
import type { ProcessSpec } from './processes.ts';

/** Name under which the teacher serves its model. */
export const teacherModel = 'smollm2-135m-instruct';

/** The small model behind an OpenAI-compatible server. One thread: two would fight with the worker's for the cores. */
export function prepareTeacher({ python, logFile, port }: { readonly python: string; readonly logFile: string; readonly port: number }): { readonly url: string; readonly process: ProcessSpec } {
  return {
    url: `http://127.0.0.1:${String(port)}/v1`,
    process: {
      name: 'teacher', command: python, cwd: checkout, logFile, env: { ...process.env, PYTHONUNBUFFERED: '1' },
      args: [join(checkout, 'apps/cli/teacher/serve.py'), '--port', String(port), '--threads', '1', '--parent-pid', String(process.pid)],
      leavesBy: 'itself', stopSignal: 'SIGTERM', stopMs: 3_000, readyMs: 90_000,
      isReady: (offset, signal) => waitForLine(logFile, offset, (line) => isEvent(line, 'listening'), signal),
    },
  };
}
