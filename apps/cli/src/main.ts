import { presetNames, rowFormats, type PresetName, type RowFormat } from '@sgpo/core';
import { Argument, Command, InvalidArgumentError, Option } from 'commander';
import { exitCodes } from './cli-error.ts';
import { readConfig } from './config.ts';
import { explain, formatExplanation } from './explain.ts';
import { checkUses, type CheckUse } from './offline/check-source.ts';
import { suites, type Suite } from './test-runner/suites.ts';

// Commands are loaded when they are called: those that need no service answer at once.

const wholeNumber = (minimum: number, maximum = 2 ** 31 - 1) => (text: string): number => {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < minimum || value > maximum) throw new InvalidArgumentError(`Give a whole number from ${String(minimum)} to ${String(maximum)}.`);
  return value;
};

/** `a=b,c=d` as a map. */
function columnMap(text: string): Record<string, string> {
  const pairs = text.split(',').map((pair) => pair.split('='));
  if (!pairs.every((pair) => pair.length === 2 && pair.every((part) => part.trim() !== ''))) throw new InvalidArgumentError('Give column=column of the file, separated by commas.');
  return Object.fromEntries(pairs.map(([name = '', column = '']) => [name.trim(), column.trim()]));
}

interface DemoFlags { readonly spec?: string; readonly report?: string; readonly keep?: true; readonly cache: boolean; readonly shardRows?: number; readonly seed?: number; readonly preset?: string }
interface PlanFlags { readonly preset?: PresetName; readonly file?: string; readonly json?: true }
interface CheckFlags {
  readonly as?: CheckUse; readonly columns?: Record<string, string>; readonly format?: RowFormat; readonly scores: 'check' | 'ignore'; readonly heldOut?: string; readonly json?: true;
}
interface LaunchFlags { readonly file: string; readonly url?: string; readonly token?: string; readonly dryRun?: true; readonly preview?: number | true; readonly wait?: true; readonly json?: true }

const program = new Command('sgpo').description('SGPO Fleet on one machine').exitOverride((error) => { process.exit(error.exitCode === 0 ? exitCodes.ok : exitCodes.usage); }); // commander's own code for wrong usage is 1
// A pipe takes little at a time: what is still to be written must get there before the process ends.
const end = (code: number): void => { process.stdout.write('', () => { process.exit(code); }); };

program.command('demo').description('run a whole small SGPO run, with its report; run again after Ctrl-C to go on')
  .option('--spec <file>', 'another run spec than examples/demo.yaml')
  .addOption(new Option('--preset <name>', 'preset of the run').choices(presetNames))
  .option('--seed <number>', 'seed of the run', wholeNumber(0))
  .option('--shard-rows <number>', 'rows of a shard', wholeNumber(1))
  .option('--no-cache', 'do everything again; answers of the teacher are still reused')
  .option('--report <file>', 'also write the report (JSON) there')
  .option('--keep', 'leave everything up when the run has ended, until Ctrl-C')
  .action(async ({ keep, ...flags }: DemoFlags) => {
    const { runDemo } = await import('./demo/demo.ts');
    end(await runDemo(readConfig(process.env), { ...flags, keep: keep === true }));
  });

program.command('start').description('the service with its own Postgres, Valkey, worker and teacher, until Ctrl-C')
  .action(async () => {
    const { runStart } = await import('./start.ts');
    end(await runStart(readConfig(process.env)));
  });

program.command('launch').description('start a run (POST /v1/runs), or a study when the file has a base (POST /v1/studies), on a service that runs')
  .requiredOption('-f, --file <file>', 'run spec or study, YAML or JSON; relative paths start here, or in the checkout')
  .option('--url <url>', 'address of the API; default: SGPO_URL, else http://127.0.0.1 with SGPO_PORT')
  .option('--token <token>', 'default, and better, because others see a command line: SGPO_TOKEN')
  .addOption(new Option('--dry-run', 'what it would read, drop, ask and cost; nothing is started').conflicts(['preview', 'wait']))
  .addOption(new Option('--preview [rows]', 'the first rows (10, or as many as are given) through policy, teacher, scorer and refiner').argParser(wholeNumber(1, 256)).conflicts('wait'))
  .option('--wait', 'wait for the end; exit code 1 unless it succeeded')
  .option('--json', 'the answer as JSON')
  .addHelpText('after', '\nnpx sgpo token create NAME makes a token.')
  .action(async ({ wait, json, dryRun, preview, ...flags }: LaunchFlags) => {
    const { runLaunch } = await import('./launch/launch.ts');
    const rows = preview === true ? 10 : preview ?? null;
    end(await runLaunch(readConfig(process.env), { ...flags, wait: wait === true, json: json === true, dryRun: dryRun === true, previewRows: rows }));
  });

program.command('recipes').description('the presets, what each needs, its options and defaults').option('--json', 'as JSON, as GET /v1/recipes answers')
  .action(async ({ json }: { readonly json?: true }) => {
    const { runRecipes } = await import('./offline/recipes.ts');
    end(runRecipes({ json: json === true }));
  });

program.command('plan').description('the steps of a preset or a spec: models, prompts, rows, and both sides of every preference training')
  .addOption(new Option('--preset <name>', 'a preset, with placeholders for what it needs').choices(presetNames))
  .option('-f, --file <file>', 'a run spec, YAML or JSON')
  .option('--json', 'as JSON')
  .action(async ({ json, ...flags }: PlanFlags, command: Command) => {
    if ((flags.preset === undefined) === (flags.file === undefined)) command.error('error: give either --preset NAME or -f FILE');
    const { runPlan } = await import('./offline/plan.ts');
    end(runPlan({ ...flags, userFolder: readConfig(process.env).userFolder, json: json === true }));
  });

program.command('data').description('data sets')
  .command('check').description('what a run would read of a data set, and what it would drop; exit code 2 when it could not be used')
  .argument('<path>', 'file, folder or glob, s3://bucket/key, or hub:owner/name[@revision][:split] (a token is read from HF_TOKEN)')
  .addOption(new Option('--as <use>', 'how its rows are read; told by the format when left out').choices(checkUses))
  .option('--columns <map>', 'column the format reads=column of the file, separated by commas', columnMap)
  .addOption(new Option('--format <name>', 'shape of the rows; told by the columns when left out').choices(rowFormats))
  .addOption(new Option('--scores <rule>', 'scores of given pairs').choices(['check', 'ignore']).default('check'))
  .option('--held-out <path>', 'evaluation set: rows with a prompt of it are dropped, as a run drops them')
  .option('--json', 'as JSON')
  .action(async (path: string, { json, ...flags }: CheckFlags) => {
    const { runDataCheck } = await import('./offline/data-check.ts');
    end(await runDataCheck(readConfig(process.env), { path, ...flags, json: json === true }));
  });

program.command('test').description('run the tests; the last line counts them')
  .addArgument(new Argument('[suite]', 'which one; all when left out').choices(suites))
  .argument('[filters...]', 'handed on to the suite: paths for unit and e2e, arguments of pytest for python')
  .allowUnknownOption()
  .action(async (suite: Suite | undefined, filters: string[]) => {
    const { runTests } = await import('./test-runner/run-tests.ts');
    end(await runTests(readConfig(process.env), suite, filters));
  });

program.command('migrate').description('bring the tables of DATABASE_URL up to date')
  .action(async () => {
    const { runMigrate } = await import('./migrate.ts');
    end(await runMigrate(readConfig(process.env)));
  });

program.command('token').description('tokens for the REST API')
  .command('create').description('make a token and print it, once').argument('<name>', 'what it is for')
  .action(async (name: string) => {
    const { runTokenCreate } = await import('./token.ts');
    end(await runTokenCreate(readConfig(process.env), name));
  });

try {
  await program.parseAsync();
} catch (error) {
  const explanation = explain(error);
  if (explanation === null) throw error;
  process.stderr.write(`\n${formatExplanation(explanation)}`);
  end(explanation.exitCode);
}
