import { CliError } from './cli-error.ts';
import type { CliConfig } from './config.ts';
import { revokeLeftOverToken } from './demo/demo.ts';
import { aborted, interruptedExitCode, onInterrupt } from './interrupts.ts';
import { inSeconds } from './parts.ts';
import { startStack, type Stack } from './stack.ts';

const say = (line: string): void => { process.stdout.write(`${line}\n`); };

/** Serves until it is interrupted, which is how it ends well: exit code 0. A stack that was interrupted before it was up ends with 130. */
export async function runStart(config: CliConfig): Promise<number> {
  const signal = onInterrupt();
  const began = performance.now();
  say(`Starting the stack in ${config.home}`);
  let stack: Stack;
  try {
    stack = await startStack(config, say, signal);
  } catch (error) {
    if (!signal.aborted) throw error;
    return interruptedExitCode;
  }
  try {
    await revokeLeftOverToken(config.home, stack.database);
    say(`Ready after ${inSeconds(performance.now() - began)}`);
    say(`  API      ${stack.url}  (OpenAPI: ${stack.url}/openapi.json)`);
    say(`  teacher  ${stack.teacher.baseUrl}  model ${stack.teacher.model}`);
    if (await stack.database.tokens.count(stack.teamId) === 0) {
      const { token } = await stack.database.tokens.create({ teamId: stack.teamId, name: 'first', expiresAt: null });
      say(`  token    ${token}\n           shown this once; another: npx sgpo token create NAME`);
    }
    await Promise.race([aborted(signal), stack.failed]);
    say('stopping');
    return 0;
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw new CliError(`The stack failed: ${error instanceof Error ? error.message : String(error)}`, 'see the logs, then start it again', { cause: error });
  } finally {
    await stack.stop();
  }
}
