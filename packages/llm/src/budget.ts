import type { SgpoError } from '@sgpo/core';
import type { Tokens } from './tokens.ts';

/** Part of a budget, set aside for one call until it is known what the call needed. Settling twice changes nothing. */
export interface Reservation {
  /** To be called when the answer is recorded, or when there is none. `uncounted`: the server counted no tokens, so that the worst is taken as spent. */
  settle(outcome?: 'uncounted'): void;
}

/** What a run's teacher may still spend. Answers are charged where they are recorded; the gate looks there and at what is on its way. */
export interface BudgetGate {
  /** Waits while the call does not fit but others of the run are on their way. Rejects with TEACHER.BUDGET_REACHED, or the reason of the signal. */
  reserve(worst: Tokens, signal: AbortSignal): Promise<Reservation>;
  /** For as many of the calls as fit now, in their order: fewer, or none, when the budget ends before. */
  reserveFirst(worst: readonly Tokens[]): Promise<readonly Reservation[]>;
  /** Books what was sent before this process knew of it, whether it fits or not. */
  hold(worst: Tokens): Reservation;
  /** TEACHER.BUDGET_REACHED with what is spent by now. `worst`: the call that does not fit. */
  reached(worst: Tokens): Promise<SgpoError>;
}

const free: Reservation = { settle: () => undefined };

/** A run without a budget. */
export const unlimited: BudgetGate = {
  reserve: () => Promise.resolve(free),
  reserveFirst: (worst) => Promise.resolve(worst.map(() => free)),
  hold: () => free,
  reached: () => Promise.reject(new TypeError('a run without a budget cannot reach it')),
};
