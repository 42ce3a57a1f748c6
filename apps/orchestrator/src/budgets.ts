import { costOf, priceOf, SgpoError, type Budget, type EndpointTeacher, type RunId } from '@sgpo/core';
import type { Database } from '@sgpo/database';
import { addTokens, noTokens, sumOf, type BudgetGate, type Reservation, type Tokens } from '@sgpo/llm';

/** What the teachers of each run may still spend: one gate a run in this process, whatever shards ask. */
export interface Budgets {
  gateOf(runId: RunId, teacher: EndpointTeacher): BudgetGate;
  /** The run has ended: nothing is asked for it any more. */
  forget(runId: RunId): void;
}

export function createBudgets({ database }: { readonly database: Pick<Database, 'runs' | 'ledger'> }): Budgets {
  const accounts = new Map<RunId, Account>();
  return {
    gateOf(runId, teacher) {
      const account = accounts.get(runId) ?? createAccount();
      accounts.set(runId, account);
      return createGate({ database, runId, teacher, account });
    },
    forget: (runId) => { accounts.delete(runId); },
  };
}

/** What is on its way for a run. */
interface Account {
  reserve(worst: Tokens): Reservation;
  /** Set aside now, and what no ledger will ever tell. */
  booked(): Tokens;
  /** The worst of the answers whose tokens the server did not count, for as long as this process lives. */
  uncounted(): Tokens;
  /** Calls whose outcome may still make room. */
  open(): number;
  /** Resolves when the next of them is settled. */
  settled(signal: AbortSignal): Promise<void>;
  /** Runs `look` alone. What is settled meanwhile is in none or in both of the ledger and the account: it stays booked until the next look. */
  exclusively<T>(look: () => Promise<T>): Promise<T>;
  /** True when something was settled since the look began, so that it may have counted too much. */
  moved(): boolean;
}

function createAccount(): Account {
  let reserved = noTokens;
  let uncounted = noTokens;
  let settling = noTokens;
  let open = 0;
  let line: Promise<unknown> = Promise.resolve();
  let waiting: (() => void)[] = [];
  const minus = (a: Tokens, b: Tokens): Tokens => ({ promptTokens: a.promptTokens - b.promptTokens, completionTokens: a.completionTokens - b.completionTokens });
  return {
    reserve(worst) {
      reserved = addTokens(reserved, worst);
      open += 1;
      let held = true;
      return {
        settle(outcome) {
          if (!held) return;
          held = false;
          open -= 1;
          reserved = minus(reserved, worst);
          if (outcome === 'uncounted') uncounted = addTokens(uncounted, worst);
          else settling = addTokens(settling, worst);
          const woken = waiting;
          waiting = [];
          for (const wake of woken) wake();
        },
      };
    },
    booked: () => addTokens(addTokens(reserved, uncounted), settling),
    uncounted: () => uncounted,
    open: () => open,
    async settled(signal) {
      signal.throwIfAborted();
      const listening = new AbortController();
      await new Promise<void>((resolve) => {
        waiting.push(resolve);
        signal.addEventListener('abort', () => { resolve(); }, { signal: listening.signal });
      });
      listening.abort();
      signal.throwIfAborted();
    },
    exclusively<T>(look: () => Promise<T>): Promise<T> {
      const mine = line.then(() => {
        settling = noTokens;
        return look();
      });
      line = mine.catch(() => undefined);
      return mine;
    },
    moved: () => sumOf(settling) > 0,
  };
}

interface GateDependencies { readonly database: Pick<Database, 'runs' | 'ledger'>; readonly runId: RunId; readonly teacher: EndpointTeacher; readonly account: Account }

function createGate({ database, runId, teacher, account }: GateDependencies): BudgetGate {
  const price = priceOf(teacher);

  async function read(): Promise<{ readonly budget: Budget; readonly spent: Tokens }> {
    const run = await database.runs.get(runId);
    if (run === null) throw new TypeError(`no run ${runId}`);
    if (run.budget.cost !== null && price === null) {
      throw new SgpoError('SPEC.CONFLICT', `budget.cost is ${String(run.budget.cost)}, and the price of teacher.model "${teacher.model}" is not known`, {
        remedy: 'Set teacher.price, or give a budget in tokens', problems: [{ field: 'budget.cost', value: run.budget.cost, message: 'needs a price that is known', fix: 'set teacher.price, or give budget.tokens' }],
      });
    }
    const isFree = run.budget.tokens === null && run.budget.cost === null;
    return { budget: run.budget, spent: isFree ? noTokens : await database.ledger.spent(runId) };
  }

  const fits = (budget: Budget, used: Tokens): boolean =>
    (budget.tokens === null || sumOf(used) <= budget.tokens) && (budget.cost === null || (costOf(price, used) ?? Infinity) <= budget.cost);

  /** As many as fit, in order. `sure`: nothing was settled while this looked, so that the answer is not too strict. */
  const tryFirst = (worst: readonly Tokens[]): Promise<{ readonly granted: readonly Reservation[]; readonly sure: boolean }> => account.exclusively(async () => {
    const { budget, spent } = await read();
    const granted: Reservation[] = [];
    for (const one of worst) {
      if (!fits(budget, addTokens(addTokens(spent, account.booked()), one))) break;
      granted.push(account.reserve(one));
    }
    return { granted, sure: !account.moved() };
  });

  async function reached(worst: Tokens): Promise<SgpoError> {
    const { budget, spent } = await read();
    const show = (tokens: Tokens): string => `${String(sumOf(tokens))} tokens${price === null ? '' : ` (${(costOf(price, tokens) ?? 0).toFixed(4)} in the currency of the price)`}`;
    const limits = [budget.tokens === null ? [] : [`${String(budget.tokens)} tokens`], budget.cost === null ? [] : [`a cost of ${String(budget.cost)}`]].flat().join(' and ');
    return new SgpoError('TEACHER.BUDGET_REACHED', `teacher.budget of ${limits}: ${show(addTokens(spent, account.uncounted()))} are spent, and the next call may take ${show(worst)}`, {
      remedy: `Raise it: POST /v1/runs/${runId}/resume with a larger budget. Nothing is lost: paid answers are kept`,
    });
  }

  return {
    reached,

    hold: (worst) => account.reserve(worst),

    async reserve(worst, signal) {
      for (;;) {
        signal.throwIfAborted();
        const { granted: [reservation], sure } = await tryFirst([worst]);
        if (reservation !== undefined) return reservation;
        if (!sure) continue;
        if (account.open() === 0) throw await reached(worst);
        await account.settled(signal);
      }
    },

    async reserveFirst(worst) {
      for (;;) {
        const { granted, sure } = await tryFirst(worst);
        if (granted.length === worst.length || sure) return granted;
        for (const reservation of granted) reservation.settle();
      }
    },
  };
}
