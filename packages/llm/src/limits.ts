import type { EndpointTeacher } from '@sgpo/core';
import { bookCall, idlePace, returnShare, type RateLimits } from './pace.ts';
import { sleepFor, type Sleep } from './waiting.ts';

/** What all teachers of a process that call one model at one address with one key share. Made once, and handed to every teacher. */
export interface TeacherLimits {
  endpointOf(teacher: EndpointTeacher): Endpoint;
  /** What the server thought so far of requests with these options. */
  verdictOf(teacher: EndpointTeacher): Verdict;
}

export interface Endpoint {
  /** Waits until a call of so many tokens may begin. The grant takes what the call really used, once that is known. */
  pace(limits: RateLimits, tokens: number, signal: AbortSignal): Promise<{ correct(usedTokens: number): void }>;
  /** Runs `work` when nobody else works under the key: equal requests then find the answer in the ledger, and pay once. */
  exclusive<T>(key: string, signal: AbortSignal, work: () => Promise<T>): Promise<T>;
  /** By what name the server knows the limit of an answer: newer models of OpenAI know the second alone, other servers the first. */
  limitName: LimitName;
}

export type LimitName = 'max_tokens' | 'max_completion_tokens';

export interface Verdict {
  answered(): void;
  /** True when every request so far was rejected and there were as many as tell that the options are wrong and not the rows. Counting then begins anew. */
  rejected(): boolean;
}

const rejectionsThatTell = 5;

export function createLimits({ nowMs = Date.now, sleep = sleepFor }: { readonly nowMs?: () => number; readonly sleep?: Sleep } = {}): TeacherLimits {
  const endpoints = new Map<string, Endpoint>();
  const verdicts = new Map<string, Verdict>();
  return {
    endpointOf: ({ baseUrl, model, apiKey }) => findOrMake(endpoints, JSON.stringify([baseUrl, model, apiKey]), () => createEndpoint(nowMs, sleep)),
    verdictOf: ({ baseUrl, model, apiKey, temperature, topP, maxTokens, seed }) => findOrMake(verdicts, JSON.stringify([baseUrl, model, apiKey, temperature, topP, maxTokens, seed]), createVerdict),
  };
}

function createEndpoint(nowMs: () => number, sleep: Sleep): Endpoint {
  let state = idlePace;
  const busy = new Map<string, Promise<unknown>>();
  return {
    limitName: 'max_tokens',

    async pace(limits, tokens, signal) {
      const booked = bookCall(state, nowMs(), limits, tokens);
      state = booked.state;
      try {
        if (booked.waitMs > 0) await sleep(booked.waitMs, signal);
        signal.throwIfAborted();
      } catch (error) {
        state = returnShare(state, limits, { requests: 1, tokens });
        signal.throwIfAborted();
        throw error;
      }
      return { correct: (usedTokens) => { state = returnShare(state, limits, { requests: 0, tokens: tokens - usedTokens }); } };
    },

    async exclusive(key, signal, work) {
      for (let other = busy.get(key); other !== undefined; other = busy.get(key)) {
        await settledOrAborted(other, signal);
      }
      signal.throwIfAborted();
      const mine = work().finally(() => { busy.delete(key); });
      busy.set(key, mine);
      return mine;
    },
  };
}

function createVerdict(): Verdict {
  let answered = false;
  let rejected = 0;
  return {
    answered: () => { answered = true; },
    rejected() {
      rejected += 1;
      if (answered || rejected < rejectionsThatTell) return false;
      rejected = 0;
      return true;
    },
  };
}

/** Resolves when `other` has ended either way; rejects with the reason of the signal. */
async function settledOrAborted(other: Promise<unknown>, signal: AbortSignal): Promise<void> {
  const listening = new AbortController();
  const aborted = new Promise<void>((resolve) => { signal.addEventListener('abort', () => { resolve(); }, { signal: listening.signal }); });
  signal.throwIfAborted();
  await Promise.race([Promise.allSettled([other]), aborted]);
  listening.abort();
  signal.throwIfAborted();
}

function findOrMake<T>(map: Map<string, T>, key: string, make: () => T): T {
  const found = map.get(key);
  if (found !== undefined) return found;
  const made = make();
  map.set(key, made);
  return made;
}
