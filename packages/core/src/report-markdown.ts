/** The report for people: the same numbers as the JSON, and what they do and do not say. */
import type { EditDistance } from './edit-distance.ts';
import type { Report, ReportMeasures } from './report-types.ts';

/** Markdown with tables. Every statement is a comparison of numbers of the report. */
export function renderReport(report: Report): string {
  const { run } = report;
  const sections = [
    `# Run ${run.id}`,
    `Preset \`${run.preset}\`, seed ${String(run.seed)}: ${run.status}${run.seconds === null ? '' : ` after ${seconds(run.seconds)}`}.`,
    '## What moved', heldOut(report), preference(report),
    '## Warnings', report.warnings.length === 0 ? 'None.' : report.warnings.map(({ code, message }) => `- **${code}**: ${escape(message)}`).join('\n'),
    '## Steps', steps(report),
    '## Improver training set', trainingSet(report),
    '## Preference pairs', pairs(report),
    '## Teacher', teacher(report),
    '## Artifacts', artifacts(report),
    '## Provenance', provenance(report),
  ];
  return `${sections.join('\n\n')}\n`;
}

const dash = '–';
const escape = (text: string): string => text.replaceAll('|', String.raw`\|`).replaceAll(/[\r\n]+/g, ' ');
const number = (value: number | null, digits: number): string => (value === null ? dash : value.toFixed(digits));
const whole = (value: number | null): string => (value === null ? dash : String(value));
const percent = (share: number | null): string => (share === null ? dash : `${(100 * share).toFixed(1)} %`);
const seconds = (value: number | null): string => (value === null ? dash : `${value.toFixed(1)} s`);

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.map(escape).join(' | ')} |`;
  return [line(head), `|${head.map(() => '---|').join('')}`, ...rows.map(line)].join('\n');
}

/** Changes under one part in a hundred are called unchanged. */
const noticeable = 0.01;

function compare(value: number | null, start: number | null, lowerIsBetter: boolean): string {
  if (value === null || start === null || start === 0) return 'not measured';
  const change = (value - start) / start;
  if (Math.abs(change) < noticeable) return 'unchanged within 1 %';
  return `${change > 0 ? '+' : ''}${(100 * change).toFixed(1)} %, ${change < 0 === lowerIsBetter ? 'better' : 'worse'}`;
}

function heldOut({ heldOut: { pi0, improver, rounds } }: Report): string {
  const models: readonly (readonly [string, ReportMeasures | null])[] = [
    ['π₀', pi0], ['π* (improver)', improver], ...rounds.map((measures, index) => [`after round ${String(index + 1)}`, measures] as const),
  ];
  if (models.every(([, measures]) => measures === null)) return 'No held-out set was evaluated: this run cannot say whether its models got better.';
  const rows = models.map(([name, measures]) => [
    name, number(measures?.referencePerplexity ?? null, 3), number(measures?.chrf ?? null, 2), number(measures?.length ?? null, 1), percent(measures?.unfinished ?? null),
  ]);
  const statements = models.slice(1).map(([name, measures]) => {
    const perplexity = compare(measures?.referencePerplexity ?? null, pi0?.referencePerplexity ?? null, true);
    return `- ${name} against π₀: reference perplexity ${perplexity}; chrF ${compare(measures?.chrf ?? null, pi0?.chrf ?? null, false)}.`;
  });
  return [
    table(['model', 'reference perplexity (lower is better)', 'chrF (higher is better)', 'tokens an answer', 'unfinished'], rows),
    statements.join('\n'),
    'One run with one seed: these differences come without error bars, and no judge compared the answers.',
  ].join('\n\n');
}

function preference({ rounds }: Report): string {
  const rows = rounds.map((round) => [
    String(round.round), whole(round.pairs), number(round.firstLoss, 4), number(round.finalLoss, 4), percent(round.rewardAccuracy),
    number(round.firstMargin, 4), number(round.rewardMargin, 4), number(round.chosenLogp, 2), number(round.rejectedLogp, 2),
  ]);
  const statements = rounds.map(({ round, firstLoss, finalLoss }) => {
    if (firstLoss === null || finalLoss === null) return `- Round ${String(round)}: the loss was not recorded at both ends.`;
    const moved = Math.abs(finalLoss - firstLoss) < noticeable ? 'did not move by 0.01 or more' : `${finalLoss < firstLoss ? 'fell' : 'rose'} by ${Math.abs(finalLoss - firstLoss).toFixed(4)}`;
    return `- Round ${String(round)}: the training loss ${moved}.`;
  });
  return [
    'Preference optimisation (final values are those logged last):',
    table(['round', 'pairs', 'first loss', 'final loss', 'reward accuracy', 'first margin', 'final margin', 'chosen log-prob', 'rejected log-prob'], rows),
    statements.join('\n'),
  ].join('\n\n');
}

function steps(report: Report): string {
  return table(['step', 'kind', 'status', 'tasks', 'cached', 'time', 'rows in', 'rows out', 'dropped'], report.steps.map((step) => [
    step.key, step.kind, step.status, String(step.tasks), String(step.cached), seconds(step.seconds), whole(step.rowsIn), whole(step.rowsOut),
    Object.entries(step.dropped).map(([reason, n]) => `${reason} ${String(n)}`).join(', '),
  ]));
}

function trainingSet({ filter, editDistance, lengths }: Report): string {
  const sets = ([['ŷ (improved)', filter.improved], ['y_ext (external)', filter.external]] as const).flatMap(([name, set]) => (set === null ? [] : [[
    name, String(set.total), String(set.kept), String(set.tooShort), number(set.q1, 3), number(set.q3, 3), `${number(set.low, 3)} … ${number(set.high, 3)}`,
  ]]));
  return [
    table(['perplexity filter', 'scored', 'kept', 'too short', 'Q1', 'Q3', 'fences'], sets),
    distances([['ŷ – y₀', editDistance.improvedToDraft], ['ŷ – y_sft', editDistance.improvedToReference]]),
    table(['mean characters', 'y₀', 'y_sft', 'ŷ', 'y_ext'], [['', number(lengths.draft, 0), number(lengths.reference, 0), number(lengths.improved, 0), number(lengths.external, 0)]]),
  ].join('\n\n');
}

function pairs({ editDistance, lengths }: Report): string {
  return [
    distances(editDistance.rounds.flatMap(({ round, chosenToRejected, chosenToReference }) => [
      [`round ${String(round)}: chosen – rejected`, chosenToRejected], [`round ${String(round)}: chosen – y_sft`, chosenToReference],
    ])),
    table(['mean characters', 'chosen', 'rejected', 'chosen / rejected'], lengths.rounds.map(({ round, chosen, rejected, ratio }) => [
      `round ${String(round)}`, number(chosen, 0), number(rejected, 0), number(ratio, 2),
    ])),
  ].join('\n\n');
}

function distances(rows: readonly (readonly [string, EditDistance | null])[]): string {
  return table(['edit distance', 'mean characters', 'share of the longer text', 'measured on'], rows.map(([name, distance]) => [
    name, number(distance?.meanCharacters ?? null, 1), percent(distance?.meanNormalised ?? null), whole(distance?.n ?? null),
  ]));
}

function teacher({ teacher: { calls, reused, promptTokens, completionTokens, cost } }: Report): string {
  const price = cost === null ? 'The cost is unknown: no price was given for the teacher.' : `Cost: ${cost.toFixed(4)} in the currency of the given price.`;
  return `${String(calls)} calls, ${String(reused)} answers reused, ${String(promptTokens)} prompt tokens, ${String(completionTokens)} completion tokens. ${price}`;
}

function artifacts(report: Report): string {
  return table(['step', 'kind', 'rows', 'bytes', 'digest', 'folder'], report.artifacts.map(({ role, kind, rows, bytes, digest, path }) => [
    role, kind, whole(rows), String(bytes), `\`${digest.slice(0, 12)}\``, `\`${path}\``,
  ]));
}

function provenance({ provenance: entries, versions }: Report): string {
  const software = Object.entries(versions).map(([name, version]) => `${name} ${version}`).join(' · ');
  return [
    software === '' ? 'No software versions were recorded.' : `Software: ${escape(software)}`,
    table(['step', 'seed', 'prompt text', 'engine'], entries.filter(({ seed, promptHash, engine }) => seed !== null || promptHash !== null || engine !== null).map((entry) => [
      entry.role, whole(entry.seed), entry.promptHash === null ? dash : `\`${entry.promptHash.slice(0, 12)}\``, entry.engine ?? dash,
    ])),
  ].join('\n\n');
}
