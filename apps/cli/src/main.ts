import { presetNames } from '@sgpo/core';
import { Argument, Command, InvalidArgumentError, Option } from 'commander';
import { CliError } from './cli-error.ts';
import { readConfig } from './config.ts';
import { runDemo } from './demo/demo.ts';
import { runMigrate } from './migrate.ts';
import { runStart } from './start.ts';
import { runTests, suites, type Suite } from './test-runner/run-tests.ts';
import { runTokenCreate } from './token.ts';

const wholeNumber = (minimum: number) => (text: string): number => {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < minimum || value > 2 ** 31 - 1) throw new InvalidArgumentError(`Give a whole number from ${String(minimum)} to 2147483647.`);
  return value;
};

/** Commander's own exit code for wrong usage is 1; ours is 2, as set-up says. */
const usageExitCode = 2;

interface DemoFlags { readonly spec?: string; readonly report?: string; readonly keep?: true; readonly cache: boolean; readonly shardRows?: number; readonly seed?: number; readonly preset?: string }

const program = new Command('sgpo').description('SGPO Fleet on one machine').exitOverride((error) => { process.exit(error.exitCode === 0 ? 0 : usageExitCode); });
const end = (code: number): void => { process.exit(code); };

program.command('demo').description('run a whole small SGPO run, with its report; run again after Ctrl-C to go on')
  .option('--spec <file>', 'another run spec than examples/demo.yaml')
  .addOption(new Option('--preset <name>', 'preset of the run').choices(presetNames))
  .option('--seed <number>', 'seed of the run', wholeNumber(0))
  .option('--shard-rows <number>', 'rows of a shard', wholeNumber(1))
  .option('--no-cache', 'do everything again; answers of the teacher are still reused')
  .option('--report <file>', 'also write the report (JSON) there')
  .option('--keep', 'leave everything up when the run has ended, until Ctrl-C')
  .action(async ({ keep, ...flags }: DemoFlags) => { end(await runDemo(readConfig(process.env), { ...flags, keep: keep === true })); });

program.command('start').description('the service with its own Postgres, Valkey, worker and teacher, until Ctrl-C')
  .action(async () => { end(await runStart(readConfig(process.env))); });

program.command('test').description('run the tests; the last line counts them')
  .addArgument(new Argument('[suite]', 'which one; all when left out').choices(suites))
  .argument('[filters...]', 'handed on to the suite: paths for unit and e2e, arguments of pytest for python')
  .allowUnknownOption()
  .action(async (suite: Suite | undefined, filters: string[]) => { end(await runTests(readConfig(process.env), suite, filters)); });

program.command('migrate').description('bring the tables of DATABASE_URL up to date')
  .action(async () => { end(await runMigrate(readConfig(process.env))); });

program.command('token').description('tokens for the REST API')
  .command('create').description('make a token and print it, once').argument('<name>', 'what it is for')
  .action(async (name: string) => { end(await runTokenCreate(readConfig(process.env), name)); });

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof CliError)) throw error;
  process.stderr.write(`\nsgpo: ${error.message}\nfix:  ${error.fix}\n`);
  end(1);
}
