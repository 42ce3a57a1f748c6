/** The account of a run: what it was made of, what came out, what moved. Built from what the database holds, and from nothing else. */
import { compileRun } from './compile.ts';
import type { Plan } from './plan.ts';
import { trainsImprover, usesGivenPairs } from './recipes.ts';
import { isFields, pickNumbers, readCount, readCounts, readEditDistance, readFields, seriesOf } from './report-stats.ts';
import type { Fields } from './report-stats.ts';
import { describeTeacher } from './report-teacher.ts';
import { describeTrainings } from './report-training.ts';
import type { MetricPoint, Report, ReportArtifactInput, ReportFilter, ReportHeldOut, ReportInput, ReportRound, ReportRules, ReportStep, ReportStepInput } from './report-types.ts';
import { findWarnings } from './report-warnings.ts';
import type { RunSpec } from './spec.ts';

/** Assembles the report. Throws TypeError, naming step and field, when stats are not of the shape their step writes. */
export function buildReport(input: ReportInput): Report {
  const { run, endedAt } = input;
  const { spec } = run;
  const steps = input.steps.filter(({ kind }) => kind !== 'report');
  const plan = compileRun(spec);
  const rounds = Array.from({ length: spec.recipe.rounds }, (_, index) => index + 1);
  const statsOf = (key: string): Fields | null => fieldsOf(steps.find((step) => step.key === key)?.stats ?? null);
  const pairStats = (round: number, field: 'editDistance' | 'lengths') => readFields(statsOf(`pair-r${String(round)}`), field, `pair-r${String(round)}`);
  const sftEdits = readFields(statsOf('build-sft'), 'editDistance', 'build-sft');
  const sftLengths = readFields(statsOf('build-sft'), 'lengths', 'build-sft');
  const replay = spec.rules.replay === 0 ? null : readFields(statsOf('build-sft'), 'replay', 'build-sft');

  const report: Report = {
    run: { id: run.id, preset: run.preset, status: statusOf(steps), seconds: secondsBetween(run.startedAt, endedAt), seed: spec.seed },
    recipe: spec.recipe,
    rules: rulesOf(spec),
    steps: steps.map(describeStep),
    filter: plan.steps.some(({ kind }) => kind === 'filter') ? { improved: filterOf(statsOf('filter'), 'improved'), external: filterOf(statsOf('filter'), 'external') } : null,
    replay: replay === null ? null : { wanted: readCount(replay, 'wanted', 'build-sft'), rows: readCount(replay, 'rows', 'build-sft') },
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
    rounds: rounds.map((round) => describeRound(round, { spec, plan, steps, metrics: input.metrics })),
    trainings: describeTrainings(plan, input.artifacts),
    heldOut: plan.models.filter(({ name }) => name !== 'base').map(({ name, title }) => ({ name, title, measures: measuresOf(statsOf(`eval-measure-${name}`), `eval-measure-${name}`) })),
    teacher: describeTeacher(input, plan),
    artifacts: input.artifacts.map(({ role, kind, digest, path, rows, bytes }) => ({ role, kind, digest, path, rows, bytes })),
    versions: { ...versionsOf(input.artifacts), ...input.versions },
    provenance: input.artifacts.map((artifact) => provenanceOf(artifact, plan)),
    warnings: [],
  };
  return { ...report, warnings: findWarnings(report, { spec, plan, metrics: input.metrics }) };
}

const fieldsOf = (stats: object | null): Fields | null => (isFields(stats) ? stats : null);

const secondsBetween = (from: Date | null, to: Date | null): number | null => (from === null || to === null ? null : (to.getTime() - from.getTime()) / 1_000);

function statusOf(steps: readonly ReportStepInput[]): Report['run']['status'] {
  if (steps.some(({ state }) => state === 'failed')) return 'failed';
  if (steps.some(({ state }) => state === 'canceled')) return 'canceled';
  return steps.every(({ state }) => state === 'succeeded' || state === 'cached') ? 'succeeded' : 'running';
}

/** Only what had a say in this recipe. */
function rulesOf({ data, filter, recipe, rules }: RunSpec): ReportRules {
  const trains = trainsImprover(recipe);
  const sampled = recipe.rounds > 0 && recipe.rejected === 'sampled';
  const sets = (['sft', 'improver', 'policy', 'preferences', 'heldOut'] as const).flatMap((space) => (data[space] === null ? [] : [[space, data[space].dropFlagged] as const]));
  return {
    dropFlagged: Object.fromEntries(sets),
    heldOutOverlap: data.heldOut === null ? null : data.heldOutOverlap, scores: usesGivenPairs(recipe) ? data.scores : null, filter: trains ? filter : null,
    unfinished: trains || sampled ? rules.unfinished : null, targetFlaws: trains ? rules.targetFlaws : null, chosenFlaws: sampled && recipe.chosen === 'refined' ? rules.chosenFlaws : null,
    copyOfDraft: trains ? rules.copyOfDraft : null, replay: trains ? rules.replay : null,
  };
}

function describeStep(step: ReportStepInput): ReportStep {
  const stats = fieldsOf(step.stats);
  return {
    key: step.key, kind: step.kind, status: step.state, tasks: step.tasks.length, cached: step.tasks.filter(({ state }) => state === 'cached').length,
    seconds: secondsBetween(step.startedAt, step.endedAt), rowsIn: step.rowsIn ?? null, rowsOut: step.rowsOut ?? null, dropped: step.dropped ?? {},
    flagged: { ...readCounts(stats, 'flagged', step.key), ...overlapOf(stats, step.key) },
  };
}

/** Rows whose prompt is in the held-out set, where such rows are kept. */
function overlapOf(stats: Fields | null, key: string): Readonly<Record<string, number>> {
  if (stats?.['overlaps'] === undefined) return {};
  const overlaps = readCount(stats, 'overlaps', key);
  return overlaps === 0 ? {} : { evaluation_prompt: overlaps };
}

function filterOf(stats: Fields | null, target: 'improved' | 'external'): ReportFilter | null {
  const fields = readFields(stats, target, 'filter');
  if (fields === null) return null;
  return {
    ...pickNumbers(fields, ['q1', 'q3', 'low', 'high'], 'filter'),
    total: readCount(fields, 'total', 'filter'), kept: readCount(fields, 'kept', 'filter'), tooShort: readCount(fields, 'tooShort', 'filter'),
  };
}

function measuresOf(stats: Fields | null, at: string): ReportHeldOut['measures'] {
  return stats === null ? null : pickNumbers(stats, ['referencePerplexity', 'chrf', 'length', 'unfinished'], at);
}

interface RoundSources { readonly spec: RunSpec; readonly plan: Plan; readonly steps: readonly ReportStepInput[]; readonly metrics: readonly MetricPoint[] }

function describeRound(round: number, { spec: { preference }, plan, steps, metrics }: RoundSources): ReportRound {
  const key = `dpo-r${String(round)}`;
  const inputs = plan.steps.find((step) => step.key === key)?.inputs;
  const nameOf = (role: string): string | null => plan.models.find(({ step }) => step === inputs?.[role])?.name ?? null;
  const first = (name: string): number | null => seriesOf(metrics, key, name).find(({ step }) => step === 0)?.value ?? null;
  const last = (name: string): number | null => seriesOf(metrics, key, name).findLast(({ step }) => step > 0)?.value ?? null;
  return {
    round, trainer: preference.trainer, losses: preference.loss, policy: nameOf('policy') ?? '', reference: nameOf('reference'),
    pairs: steps.find((step) => step.key === `pair-r${String(round)}`)?.rowsOut ?? null,
    firstLoss: first('loss'), firstMargin: first('rewards/margins'),
    finalLoss: last('loss'), rewardAccuracy: last('rewards/accuracies'), rewardMargin: last('rewards/margins'), chosenLogp: last('logps/chosen'), rejectedLogp: last('logps/rejected'),
  };
}

/** Names under which artifacts tell the software that made them. */
const software = ['sgpo_worker', 'python', 'torch', 'transformers', 'trl', 'peft', 'tokenizers', 'accelerate', 'vllm'] as const;

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
