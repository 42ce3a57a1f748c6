import { formatStep, type StepProgress } from './progress.ts';

export interface Painter {
  /** Shows where the run stands. */
  paint(steps: readonly StepProgress[]): void;
  /** A line of its own, above or between. */
  say(line: string): void;
}

interface Terminal {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
  write(text: string): unknown;
}

/** A terminal gets one line a step, redrawn in place; anything else (a file, a pipe) a line for each change. */
export const createPainter = (out: Terminal): Painter => (out.isTTY === true ? createScreenPainter(out) : createLinePainter(out));

const eraseBelow = '\u001B[0J';
const up = (lines: number): string => (lines === 0 ? '' : `\u001B[${String(lines)}A\r`);

function createScreenPainter(out: Terminal): Painter {
  let drawn = 0;
  let last: readonly StepProgress[] = [];
  const draw = (): void => {
    const lines = fit(last, out.rows ?? 24).map((line) => line.slice(0, (out.columns ?? 80) - 1));
    out.write(`${up(drawn)}${eraseBelow}${lines.map((line) => `${line}\n`).join('')}`);
    drawn = lines.length;
  };
  return {
    paint(steps) { last = steps; draw(); },
    say(line) {
      out.write(`${up(drawn)}${eraseBelow}${line}\n`);
      drawn = 0;
      draw();
    },
  };
}

/** Lines for a screen of `rows`: what has ended is folded first, then what waits. The cursor cannot go back above the screen's top. */
function fit(steps: readonly StepProgress[], rows: number): string[] {
  const room = Math.max(4, rows - 2);
  const keyWidth = Math.max(0, ...steps.map(({ key }) => key.length));
  const isOver = ({ label }: StepProgress): boolean => label === 'done' || label === 'cached';
  const firstOpen = steps.findIndex((step) => !isOver(step));
  const fold = Math.min(Math.max(0, steps.length - room + 1), firstOpen === -1 ? steps.length : firstOpen);
  const from = steps.length > room ? fold : 0;
  const shown = steps.slice(from);
  const head = from > 0 ? [`… ${String(from)} steps done`] : [];
  const rest = shown.length + head.length > room ? [`… ${String(shown.length + head.length - room + 1)} more steps`] : [];
  return [...head, ...shown.slice(0, room - head.length - rest.length).map((step) => formatStep(step, keyWidth)), ...rest];
}

function createLinePainter(out: Terminal): Painter {
  const told = new Map<string, string>();
  return {
    paint(steps) {
      const keyWidth = Math.max(0, ...steps.map(({ key }) => key.length));
      for (const step of steps) {
        // A change of state, or another tenth of the work.
        const mark = `${step.label} ${step.label === 'running' && step.total > 0 ? String(Math.floor((10 * step.done) / step.total)) : ''}`;
        if (step.label === 'waiting' || told.get(step.key) === mark) continue;
        told.set(step.key, mark);
        out.write(`${formatStep(step, keyWidth)}\n`);
      }
    },
    say(line) { out.write(`${line}\n`); },
  };
}
