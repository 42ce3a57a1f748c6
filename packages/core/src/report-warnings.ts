/** What a reader of a report should doubt. Each rule states numbers; none guesses a cause it cannot see. */
import { trainerTraits } from './losses.ts';
import type { Plan } from './plan.ts';
import { assertSums, seriesOf } from './report-stats.ts';
import type { MetricPoint, Report, ReportRound, ReportWarning } from './report-types.ts';
import type { PreferenceOptions, RunSpec } from './spec.ts';

interface Evidence { readonly spec: RunSpec; readonly plan: Plan; readonly metrics: readonly MetricPoint[] }

/** How far a first loss or margin may lie from its value at policy = reference. */
const tolerance = 1e-3;
/** Chosen and rejected sides whose mean lengths differ by more than this factor teach length. */
const lengthFactor = 1.5;
/** Below this, the optimiser has hardly been at work. */
const fewUpdates = 10;

export function findWarnings(report: Report, evidence: Evidence): ReportWarning[] {
  return [
    ...assertSums(report).map((key) => ({ code: 'sums_do_not_add_up', step: key, message: `${key}: rows in are not rows out plus dropped rows` })),
    ...report.rounds.flatMap((round) => [...firstStep(round, evidence), ...displacement(round, evidence), ...updates(round, evidence)]),
    ...lengthBias(report),
    ...shortReplay(report),
    ...seenPrompts(report),
    ...unfinishedAnswers(report),
    ...mixedVersions(report),
  ];
}

const show = (value: number): string => value.toFixed(4);
const keyOf = (round: ReportRound): string => `dpo-r${String(round.round)}`;

/** True when the loss at policy = reference is ln 2: DPO's own, alone and unweighted, whatever its label smoothing. */
const startsAtLn2 = ({ trainer, loss, lossWeights }: PreferenceOptions): boolean =>
  trainer === 'dpo' && loss.length === 1 && loss[0] === 'sigmoid' && (lossWeights === null || lossWeights[0] === 1);

/** With policy = reference every reward, and so every margin, is 0. A trainer without a reference starts anywhere. */
function firstStep(round: ReportRound, { spec, plan }: Evidence): ReportWarning[] {
  const step = keyOf(round);
  const inputs = plan.steps.find(({ key }) => key === step)?.inputs;
  if (!trainerTraits[round.trainer].reference || inputs?.['policy'] !== inputs?.['reference'] || round.finalLoss === null) return [];
  const warnings: ReportWarning[] = [];
  const warn = (code: string, message: string): void => { warnings.push({ code, step, message: `${step}: ${message}` }); };
  if (round.firstLoss === null) warn('first_loss_unknown', 'the loss before the first update was not recorded, so that policy and reference cannot be compared');
  else if (startsAtLn2(spec.preference) && !(Math.abs(round.firstLoss - Math.LN2) <= tolerance)) {
    warn('first_loss_not_ln2', `the loss before the first update is ${show(round.firstLoss)}, not ln 2 = ${show(Math.LN2)}: policy and reference disagree`);
  }
  if (round.firstMargin !== null && !(Math.abs(round.firstMargin) <= tolerance)) {
    warn('first_margin_not_0', `the reward margin before the first update is ${show(round.firstMargin)}, not 0: policy and reference disagree`);
  }
  return warnings;
}

/** What holds the chosen answers up, where the trainer has it and the run did not use it. */
function displacementRemedy({ trainer, loss, cpoAlpha }: PreferenceOptions): string {
  if (trainer === 'dpo' && !loss.includes('sft')) return `; an SFT term holds them up (preference.loss: [${[...loss, 'sft'].join(', ')}])`;
  return trainer === 'cpo' && cpoAlpha === 0 ? '; an SFT term holds them up (preference.cpoAlpha above 0)' : '';
}

/** The reward of the chosen side is its change against the reference on the same rows; raw log-probabilities stand in where it was not logged. */
function displacement(round: ReportRound, { spec, metrics }: Evidence): ReportWarning[] {
  const step = keyOf(round);
  if (round.rewardMargin === null || round.rewardMargin <= (round.firstMargin ?? 0)) return [];
  const reward = seriesOf(metrics, step, 'rewards/chosen').findLast((point) => point.step > 0)?.value;
  const remedy = displacementRemedy(spec.preference);
  const grew = `the reward margin grew from ${show(round.firstMargin ?? 0)} to ${show(round.rewardMargin)}`;
  if (reward !== undefined) {
    if (reward >= 0) return [];
    return [{ code: 'likelihood_displacement', step, message: `${step}: ${grew} while the chosen answers became less likely than under the reference (reward ${show(reward)})${remedy}` }];
  }
  const start = seriesOf(metrics, step, 'logps/chosen').find((point) => point.step === 0)?.value;
  if (start === undefined || round.chosenLogp === null || round.chosenLogp >= start) return [];
  return [{
    code: 'likelihood_displacement', step,
    message: `${step}: ${grew} while the log-probability of the chosen answers fell from ${show(start)} to ${show(round.chosenLogp)} (measured on different batches)${remedy}`,
  }];
}

function updates(round: ReportRound, { metrics }: Evidence): ReportWarning[] {
  const step = keyOf(round);
  const count = seriesOf(metrics, step, 'loss').at(-1)?.step;
  if (count === undefined || count >= fewUpdates) return [];
  return [{ code: 'few_updates', step, message: `${step}: the optimiser made only ${String(count)} updates; expect little change, and read it with care` }];
}

function lengthBias(report: Report): ReportWarning[] {
  return report.lengths.rounds.flatMap(({ round, ratio }) => {
    if (ratio === null || (ratio <= lengthFactor && ratio >= 1 / lengthFactor)) return [];
    const step = `pair-r${String(round)}`;
    return [{ code: 'length_bias', step, message: `${step}: chosen answers are ${ratio.toFixed(2)} times as long as rejected ones; the policy may learn length` }];
  });
}

function shortReplay({ replay }: Report): ReportWarning[] {
  if (replay === null || replay.rows >= replay.wanted) return [];
  return [{ code: 'replay_short', step: 'build-sft', message: `build-sft: ${String(replay.wanted)} rows were to be replayed, and ${String(replay.rows)} answers could be` }];
}

function seenPrompts({ steps }: Report): ReportWarning[] {
  return steps.flatMap(({ key, flagged }) => {
    const seen = flagged['evaluation_prompt'] ?? 0;
    return seen === 0 ? [] : [{ code: 'evaluation_prompts_kept', step: key, message: `${key}: ${String(seen)} rows have prompts of the held-out set, whose measures they flatter` }];
  });
}

function unfinishedAnswers({ heldOut }: Report): ReportWarning[] {
  return heldOut.flatMap(({ name, measures }) => {
    const share = measures?.unfinished ?? 0;
    if (share <= 0.5) return [];
    const message = `${name}: ${(100 * share).toFixed(0)} % of the held-out answers reached the token limit; their chrF and length speak of cut answers`;
    return [{ code: 'mostly_unfinished', step: `eval-measure-${name}`, message }];
  });
}

function mixedVersions({ versions }: Report): ReportWarning[] {
  return Object.entries(versions).filter(([, version]) => version.includes(', ')).map(([name, version]) => ({
    code: 'mixed_versions', step: null, message: `the run's artifacts were made with several versions of ${name}: ${version}`,
  }));
}
