/** The account of a run: what it was made of, what came out, what moved. Built from what the database holds, and from nothing else. */
import { compileRun } from './compile.ts';
import type { Plan } from './plan.ts';
import { isFields, readCount, readEditDistance, readFields, readNumber, seriesOf } from './report-stats.ts';
import type { Fields } from './report-stats.ts';
import type { MetricPoint, Report, ReportArtifactInput, ReportFilter, ReportInput, ReportMeasures, ReportRound, ReportStep, ReportStepInput } from './report-types.ts';
import { findWarnings } from './report-warnings.ts';

/** Assembles the report. Throws TypeError, naming step and field, when stats are not of the shape their step writes. */
export function buildReport(input: ReportInput): Report {
  const { run, endedAt } = input;
  const steps = input.steps.filter(({ kind }) => kind !== 'report');
  const plan = compileRun(run.spec);
  const rounds = Array.from({ length: run.spec.recipe.rounds }, (_, index) => index + 1);
  const statsOf = (key: string): Fields | null => fieldsOf(steps.find((step) => step.key === key)?.stats ?? null);
  const pairStats = (round: number, field: 'editDistance' | 'lengths') => readFields(statsOf(`pair-r${String(round)}`), field, `pair-r${String(round)}`);
  const sftEdits = readFields(statsOf('build-sft'), 'editDistance', 'build-sft');
  const sftLengths = readFields(statsOf('build-sft'), 'lengths', 'build-sft');
  const measures = (model: string): ReportMeasures | null => measuresOf(statsOf(`eval-measure-${model}`), `eval-measure-${model}`);

  const report: Report = {
    run: { id: run.id, preset: run.preset, status: statusOf(steps), seconds: secondsBetween(run.startedAt, endedAt), seed: run.spec.seed },
    steps: steps.map(describeStep),
    filter: { improved: filterOf(statsOf('filter'), 'improved'), external: filterOf(statsOf('filter'), 'external') },
    editDistance: {
      improvedToDraft: readEditDistance(sftEdits, 'improvedToDraft', 'build-sft'), improvedToReference: readEditDistance(sftEdits, 'improvedToReference', 'build-sft'),
      rounds: rounds.map((round) => {
        const edits = pairStats(round, 'editDistance');
        const at = `pair-r${String(round)}`;
        return { round, chosenToRejected: readEditDistance(edits, 'chosenToRejected', at), chosenToReference: readEditDistance(edits, 'chosenToReference', at) };
      }),
    },
    lengths: {
      ...pickNumbers(sftLengths, ['draft', 'reference', 'improved', 'external'], 'build-sft'),
      rounds: rounds.map((round) => ({ round, ...pickNumbers(pairStats(round, 'lengths'), ['chosen', 'rejected', 'ratio'], `pair-r${String(round)}`) })),
    },
    rounds: rounds.map((round) => describeRound(round, steps, input.metrics)),
    heldOut: { pi0: measures('pi0'), improver: measures('improver'), rounds: run.spec.data.heldOut === null ? [] : rounds.map((round) => measures(`round${String(round)}`)) },
    teacher: teacherOf(steps),
    artifacts: input.artifacts.map(({ role, kind, digest, path, rows, bytes }) => ({ role, kind, digest, path, rows, bytes })),
    versions: { ...versionsOf(input.artifacts), ...input.versions },
    provenance: input.artifacts.map((artifact) => provenanceOf(artifact, plan)),
    warnings: [],
  };
  return { ...report, warnings: findWarnings(report, { spec: run.spec, plan, metrics: input.metrics }) };
}

const fieldsOf = (stats: object | null): Fields | null => (isFields(stats) ? stats : null);

const secondsBetween = (from: Date | null, to: Date | null): number | null => (from === null || to === null ? null : (to.getTime() - from.getTime()) / 1_000);

function statusOf(steps: readonly ReportStepInput[]): Report['run']['status'] {
  if (steps.some(({ state }) => state === 'failed')) return 'failed';
  if (steps.some(({ state }) => state === 'canceled')) return 'canceled';
  return steps.every(({ state }) => state === 'succeeded' || state === 'cached') ? 'succeeded' : 'running';
}

function describeStep(step: ReportStepInput): ReportStep {
  return {
    key: step.key, kind: step.kind, status: step.state, tasks: step.tasks.length, cached: step.tasks.filter(({ state }) => state === 'cached').length,
    seconds: secondsBetween(step.startedAt, step.endedAt), rowsIn: step.rowsIn ?? null, rowsOut: step.rowsOut ?? null, dropped: step.dropped ?? {},
  };
}

function filterOf(stats: Fields | null, target: 'improved' | 'external'): ReportFilter | null {
  const fields = readFields(stats, target, 'filter');
  if (fields === null) return null;
  return {
    ...pickNumbers(fields, ['q1', 'q3', 'low', 'high'], 'filter'),
    total: readCount(fields, 'total', 'filter'), kept: readCount(fields, 'kept', 'filter'), tooShort: readCount(fields, 'tooShort', 'filter'),
  };
}

function measuresOf(stats: Fields | null, at: string): ReportMeasures | null {
  return stats === null ? null : pickNumbers(stats, ['referencePerplexity', 'chrf', 'length', 'unfinished'], at);
}

function pickNumbers<Name extends string>(from: Fields | null, names: readonly Name[], at: string): Record<Name, number | null> {
  return Object.fromEntries(names.map((name) => [name, from === null ? null : readNumber(from, name, at)])) as Record<Name, number | null>;
}

function describeRound(round: number, steps: readonly ReportStepInput[], metrics: readonly MetricPoint[]): ReportRound {
  const key = `dpo-r${String(round)}`;
  const first = (name: string): number | null => seriesOf(metrics, key, name).find(({ step }) => step === 0)?.value ?? null;
  const last = (name: string): number | null => seriesOf(metrics, key, name).findLast(({ step }) => step > 0)?.value ?? null;
  return {
    round, pairs: steps.find((step) => step.key === `pair-r${String(round)}`)?.rowsOut ?? null,
    firstLoss: first('loss'), firstMargin: first('rewards/margins'),
    finalLoss: last('loss'), rewardAccuracy: last('rewards/accuracies'), rewardMargin: last('rewards/margins'), chosenLogp: last('logps/chosen'), rejectedLogp: last('logps/rejected'),
  };
}

function teacherOf(steps: readonly ReportStepInput[]): Report['teacher'] {
  const total = { calls: 0, reused: 0, promptTokens: 0, completionTokens: 0 };
  let cost: number | null = 0;
  for (const { kind, key, stats: left } of steps) {
    const stats = fieldsOf(left);
    if (kind !== 'teach' || stats === null) continue;
    for (const field of ['calls', 'reused', 'promptTokens', 'completionTokens'] as const) total[field] += readCount(stats, field, key);
    const stepCost = readNumber(stats, 'cost', key);
    cost = cost === null || stepCost === null ? null : cost + stepCost;
  }
  return { ...total, cost };
}

/** Names under which artifacts tell the software that made them. */
const software = ['sgpo_worker', 'python', 'torch', 'transformers', 'trl', 'tokenizers', 'accelerate', 'vllm'] as const;

/** Every version met; several of one name stand side by side, and are warned about. */
function versionsOf(artifacts: readonly ReportArtifactInput[]): Record<string, string> {
  const versions: Record<string, string> = {};
  for (const name of software) {
    const met = new Set(artifacts.map(({ meta }) => meta?.[name]).filter((value) => typeof value === 'string'));
    if (met.size > 0) versions[name] = [...met].sort().join(', ');
  }
  return versions;
}

function provenanceOf(artifact: ReportArtifactInput, plan: Plan): Report['provenance'][number] {
  const parameters = plan.steps.find(({ key }) => key === artifact.role)?.parameters ?? {};
  const { engine, ...meta } = artifact.meta ?? {};
  const details: Record<string, string | number | boolean> = {};
  for (const [name, value] of Object.entries(meta)) {
    if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') details[name] = value;
  }
  return {
    role: artifact.role, digest: artifact.digest, seed: 'seed' in parameters ? parameters.seed : null,
    promptHash: 'promptHash' in parameters ? parameters.promptHash : null, engine: typeof engine === 'string' ? engine : null, details,
  };
}
