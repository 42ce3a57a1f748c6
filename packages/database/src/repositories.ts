/**
 * What the database offers. Every method is one transaction (or one statement); every change of a state is a compare-and-set on the
 * tables of core/states.ts with its event, counters and outbox rows beside it, so that a crash between two methods strands nothing.
 * Methods that change something answer `false` or `null` when the compare-and-set found another state: somebody else was first.
 */
import type { AttemptId, AttemptState, Budget, DatasetId, DatasetSource, Digest, Failure, Plan, RunId, RunSpec, RunState, StepId, StepKind, StepState, StudyId, TaskId, TaskState, TeamId, TokenId, WorkerId } from '@sgpo/core';

export interface Database {
  readonly runs: RunRepository;
  readonly steps: StepRepository;
  readonly tasks: TaskRepository;
  readonly attempts: AttemptRepository;
  readonly workers: WorkerRepository;
  readonly artifacts: ArtifactRepository;
  readonly events: EventRepository;
  readonly metrics: MetricRepository;
  readonly ledger: LedgerRepository;
  readonly batches: TeacherBatchRepository;
  readonly studies: StudyRepository;
  readonly datasets: DatasetRepository;
  readonly rates: RateRepository;
  readonly outbox: OutboxRepository;
  readonly tokens: TokenRepository;
  /** Throws when Postgres does not answer. */
  ping(): Promise<void>;
  close(): Promise<void>;
}

/** rowsIn = rowsOut + Σ dropped. */
export interface RowCounts { readonly rowsIn: number; readonly rowsOut: number; readonly dropped: Readonly<Record<string, number>> }

export interface ArtifactFile { readonly path: string; readonly bytes: number; readonly sha256: string }
export interface ArtifactRecord {
  readonly digest: Digest; readonly kind: 'table' | 'model' | 'report'; readonly bytes: number; readonly rows: number | null;
  readonly files: readonly ArtifactFile[]; readonly meta: Readonly<Record<string, unknown>>; readonly createdAt: Date;
}
export interface ArtifactInput {
  readonly role: string; readonly digest: Digest;
  /** The record of an artifact that was written for the task alone (its requests, say) and that no task made: it is recorded with the task. */
  readonly artifact?: Omit<ArtifactRecord, 'createdAt'>;
}

export interface RunRow {
  readonly id: RunId; readonly teamId: TeamId; readonly name: string | null; readonly preset: string; readonly state: RunState; readonly spec: RunSpec;
  readonly failure: Failure | null; readonly pauseReason: PauseReason | null; readonly budget: Budget;
  readonly studyId: StudyId | null; readonly studyEntry: StudyEntry | null; readonly tasksDone: number; readonly tasksTotal: number; readonly eventSequence: number;
  readonly createdAt: Date; readonly updatedAt: Date; readonly startedAt: Date | null; readonly endedAt: Date | null;
}
/** Why a run is paused. */
export type PauseReason = 'budget';
/** What a run's teacher was paid for. */
export interface Spent { readonly calls: number; readonly promptTokens: number; readonly completionTokens: number }

export interface StepRow extends Partial<RowCounts> {
  readonly id: StepId; readonly runId: RunId; readonly key: string; readonly kind: StepKind; readonly title: string; readonly position: number; readonly state: StepState;
  readonly space: string | null; readonly inputs: Readonly<Record<string, string>>; readonly parameters: unknown; readonly output: Digest | null;
  readonly stats: Readonly<Record<string, unknown>> | null; readonly startedAt: Date | null; readonly endedAt: Date | null;
}
export interface TaskRow extends Partial<RowCounts> {
  readonly id: TaskId; readonly stepId: StepId; readonly runId: RunId; readonly index: number; readonly role: TaskRole; readonly location: 'local' | 'worker';
  readonly state: TaskState; readonly posFrom: number | null; readonly posTo: number | null; readonly cacheKey: string | null; readonly spec: unknown;
  readonly rowsDone: number; readonly rowsTotal: number; readonly unit: 'rows' | 'steps'; readonly output: Digest | null; readonly stats: Readonly<Record<string, unknown>> | null;
  readonly failure: Failure | null; readonly attempts: number; readonly notBefore: Date | null; readonly reuses: TaskId | null;
  readonly createdAt: Date; readonly startedAt: Date | null; readonly endedAt: Date | null;
}
export interface AttemptRow {
  readonly id: AttemptId; readonly taskId: TaskId; readonly runId: RunId; readonly number: number; readonly fence: bigint; readonly state: AttemptState;
  readonly workerId: WorkerId | null; readonly cancelWanted: boolean; readonly eventsSeen: number; readonly failure: Failure | null;
  readonly provenance: Readonly<Record<string, string>> | null; readonly createdAt: Date; readonly startedAt: Date | null; readonly endedAt: Date | null;
}

export type TaskRole = 'shard' | 'merge' | 'whole';
export interface NewTask {
  readonly index: number; readonly role: TaskRole; readonly location: 'local' | 'worker'; readonly posFrom: number | null; readonly posTo: number | null; readonly rowsTotal: number;
}

/** What a finished task leaves behind. */
export interface TaskResult extends RowCounts {
  readonly output: Omit<ArtifactRecord, 'createdAt'>;
  readonly stats: Readonly<Record<string, unknown>>;
  readonly provenance: Readonly<Record<string, string>>;
  readonly peakRssBytes: number | null;
}

/** Run, steps in plan order, and each step's tasks by index. */
export interface RunTree { readonly run: RunRow; readonly steps: readonly (StepRow & { readonly tasks: readonly TaskRow[] })[] }

export interface RunRepository {
  /**
   * Writes run, steps (with their whole tasks: role `whole`, index 0) and an `advance` outbox row. With a key that was used before: the old run, or
   * SgpoError RUN.IDEMPOTENCY_CONFLICT when the body differs. Safe under any number of equal calls at once.
   */
  create(input: {
    readonly teamId: TeamId; readonly spec: RunSpec; readonly plan: Plan; readonly idempotencyKey: string | null; readonly bodyHash: string | null;
  }): Promise<{ readonly run: RunRow; readonly created: boolean }>;
  /** running → paused: what runs goes on, nothing begins; runs that wait for its tasks are told to advance. Repeating it changes nothing. */
  pause(id: RunId, reason: PauseReason): Promise<boolean>;
  /** paused → running, with a new budget (whole) when one is given; emits `advance`, and `local` or `place` for its ready tasks when they are due. */
  resume(id: RunId, budget: Budget | null): Promise<boolean>;
  /** null when there is none, or it belongs to another team. */
  get(id: RunId, teamId?: TeamId): Promise<RunRow | null>;
  tree(id: RunId, teamId?: TeamId): Promise<RunTree | null>;
  /** Newest first. `before`: id of the last run of the page before. */
  list(input: { readonly teamId: TeamId; readonly limit: number; readonly before: RunId | null; readonly state: RunState | null }): Promise<readonly RunRow[]>;
  /** queued → running. */
  start(id: RunId): Promise<boolean>;
  /** queued | running | paused → canceling: pending and ready tasks (and steps without running tasks) → canceled, running attempts get cancelWanted, `advance` is emitted. */
  requestCancel(id: RunId): Promise<boolean>;
  /** canceling → canceled when no attempt is alive. */
  finishCancel(id: RunId): Promise<boolean>;
  /** running | paused → failed: every other step and task that has not ended → canceled, running attempts get cancelWanted. */
  fail(id: RunId, failure: Failure): Promise<boolean>;
  /** running → succeeded when every step has ended well. */
  succeed(id: RunId): Promise<boolean>;
  /** Runs in queued, running or canceling; paused ones wait for their owner. */
  active(): Promise<readonly RunId[]>;
}

export interface StepRepository {
  /** Adds the tasks of a pending sharded step. Repeating it changes nothing. */
  expand(id: StepId, tasks: readonly NewTask[]): Promise<boolean>;
  /** pending → running for a step whose first task became ready; repeating it changes nothing. */
  begin(id: StepId): Promise<boolean>;
  /** running → succeeded, or cached when every task of it was cached. Takes output, counts and stats over from `from` (its merge or whole task). */
  finish(id: StepId, from: TaskId): Promise<boolean>;
}

export interface TaskRepository {
  get(id: TaskId): Promise<TaskRow | null>;
  /**
   * pending → ready with its frozen spec; emits `local {taskId}` or `place {}`. ARTIFACT.NOT_FOUND when an input is neither recorded nor comes with its record.
   * With `share`, a task whose equal (same cache key) is at work in a running run waits: it stays pending and keeps the key; when that task ends, or its run
   * pauses or ends, `advance` is emitted for every run that has a task waiting for the key. Two equal tasks that become ready at once do not both run.
   * It also waits, and its own run gets an `advance`, when an equal task has finished that may have ended after the caller's findEqual: once for each such task.
   */
  markReady(id: TaskId, input: { readonly cacheKey: string; readonly spec: unknown; readonly inputs: readonly ArtifactInput[]; readonly share: boolean }): Promise<'ready' | 'waits' | 'stale'>;
  /** Those of the keys whose task is ready or running in a running run, or running still in a paused one. */
  atWork(cacheKeys: readonly string[]): Promise<ReadonlySet<string>>;
  /** pending → cached: output, counts and stats of `from` are taken over; `reuses` names the task that was run. */
  markCached(id: TaskId, input: { readonly cacheKey: string; readonly from: TaskId }): Promise<boolean>;
  /** pending → failed: the inputs cannot be prepared. */
  markFailed(id: TaskId, failure: Failure): Promise<boolean>;
  /** The newest succeeded task with this key (any run of any team: content is addressed by content), or null. */
  findEqual(cacheKey: string): Promise<TaskRow | null>;
}

/** A ready worker task as placement sees it. */
export interface PlaceableTask { readonly id: TaskId; readonly runId: RunId; readonly model: Digest | null; readonly position: number; readonly index: number; readonly createdAt: Date; readonly preview: boolean }
/** A worker that was seen lately, with the slots no lease holds. */
export interface FreeWorker { readonly id: WorkerId; readonly warmModel: Digest | null; readonly freeSlots: readonly number[] }

export interface AttemptRepository {
  get(id: AttemptId): Promise<AttemptRow | null>;
  /** Attempts of a run, oldest first. */
  ofRun(runId: RunId): Promise<readonly AttemptRow[]>;
  /** Ready worker tasks of running runs that are due, and live workers (seen within `aliveMs`, not draining) with a free slot. `model` is spec.model of the task's frozen spec. */
  placeable(aliveMs: number): Promise<{ readonly tasks: readonly PlaceableTask[]; readonly workers: readonly FreeWorker[] }>;
  /** Task ready → running with a new leased attempt and its lease; emits `follow {attemptId}`. null when task or slot is taken. Fences come from one sequence. */
  claim(input: { readonly taskId: TaskId; readonly workerId: WorkerId; readonly slot: number; readonly leaseMs: number }): Promise<AttemptId | null>;
  /** Local task ready → running with a new running attempt held by `holder`. null when it is taken or its run has ended. */
  claimLocal(input: { readonly taskId: TaskId; readonly holder: string; readonly holdMs: number }): Promise<AttemptRow | null>;
  /** Takes a live worker attempt that nobody holds (or `holder` itself). null when somebody does, or it has ended. */
  take(input: { readonly id: AttemptId; readonly holder: string; readonly holdMs: number }): Promise<AttemptRow | null>;
  /** Lets go of a worker attempt, so that another process may take it at once; emits `follow` again. */
  release(input: { readonly id: AttemptId; readonly holder: string }): Promise<void>;
  /** leased → running. */
  started(id: AttemptId): Promise<boolean>;
  /** Extends the hold, and the lease by `leaseMs` when given. null when the attempt has ended or is held by another. */
  renew(input: { readonly id: AttemptId; readonly holder: string; readonly holdMs: number; readonly leaseMs: number | null }): Promise<{ readonly cancelWanted: boolean } | null>;
  /**
   * Takes over journal events in order: progress on the task, metric points, log and phase events; skips a batch that eventsSeen covers and one of an
   * attempt that has ended. A point that is not a finite number becomes a `task.log` event.
   */
  report(id: AttemptId, batch: AttemptReport): Promise<void>;
  /** Attempt and task → succeeded; artifact, links, counts, event; lease gone; emits `advance` (and `place` for a worker's). `inputs` become in-links.
   * false when the attempt has ended, and when its task was canceled meanwhile: then the attempt ends as canceled, for there is nothing left to do for it. */
  succeed(id: AttemptId, result: TaskResult): Promise<boolean>;
  /**
   * Attempt → failed | lost | canceled; lease gone. Then task → ready with notBefore (retry), failed, or canceled; when its run is no longer running the
   * task is canceled whatever `next` says, unless the run is paused: a task that would be tried again waits, ready, for the run to go on. With `pause` the
   * task goes back to ready and the run is paused, in one transaction. Emits `advance`, and `place` / `local` at notBefore for a retry.
   */
  end(id: AttemptId, input: { readonly state: 'failed' | 'lost' | 'canceled'; readonly failure: Failure | null; readonly next: NextForTask }): Promise<boolean>;
  /** What may have been forgotten: see the reconciler. */
  forgotten(input: { readonly readyForMs: number }): Promise<{
    /** Ready local tasks that nobody claimed for readyForMs. */
    readonly localTasks: readonly TaskId[];
    /** Live worker attempts that nobody holds. */
    readonly unheldAttempts: readonly AttemptId[];
    /** Live local attempts whose holder is gone. */
    readonly lostLocalAttempts: readonly AttemptId[];
    readonly readyWorkerTasks: number;
  }>;
}

/** What becomes of a task whose attempt has ended without a result. */
export type NextForTask =
  | { readonly kind: 'retry'; readonly delayMs: number } | { readonly kind: 'fail' } | { readonly kind: 'cancel' } | { readonly kind: 'pause'; readonly reason: PauseReason };

export interface AttemptReport {
  /** Sequence number of the last event of the batch; 0 for a local step, which has no journal. */
  readonly lastSequence: number;
  readonly progress?: { readonly done: number; readonly total: number; readonly unit: 'rows' | 'steps' };
  readonly metrics?: readonly { readonly step: number; readonly values: Readonly<Record<string, number>> }[];
  readonly events?: readonly { readonly type: 'task.phase' | 'task.log' | 'task.progress'; readonly data: Readonly<Record<string, unknown>> }[];
}

export interface WorkerRow {
  readonly id: WorkerId; readonly address: string; readonly instanceId: string; readonly engine: string; readonly deterministic: boolean; readonly deviceKind: string;
  readonly devices: readonly string[]; readonly slots: number; readonly draining: boolean; readonly warmModel: string | null; readonly versions: Readonly<Record<string, string>>; readonly lastSeenAt: Date;
}
export interface WorkerRepository {
  /** Inserts or updates; lastSeenAt = now. */
  seen(worker: Omit<WorkerRow, 'lastSeenAt'>): Promise<void>;
  get(id: WorkerId): Promise<WorkerRow | null>;
  list(): Promise<readonly WorkerRow[]>;
}

export interface LineageLink { readonly direction: 'in' | 'out'; readonly role: string; readonly digest: Digest; readonly kind: string; readonly stepKey: string; readonly taskId: TaskId; readonly attemptId: AttemptId; readonly runId: RunId }
export interface ArtifactRepository {
  /** null when there is none, or no run of the team made or used it. */
  get(digest: Digest, teamId?: TeamId): Promise<ArtifactRecord | null>;
  /** Links of the run's attempts, and of the attempts that made what its cached tasks reuse. */
  lineageOfRun(runId: RunId): Promise<readonly LineageLink[]>;
}

export interface EventRow { readonly sequence: number; readonly at: Date; readonly type: string; readonly stepKey: string | null; readonly taskId: TaskId | null; readonly data: Readonly<Record<string, unknown>> }
export interface EventRepository { after(runId: RunId, sequence: number, limit: number): Promise<readonly EventRow[]> }

export interface MetricRow { readonly stepKey: string; readonly name: string; readonly step: number; readonly value: number }
export interface MetricRepository {
  /** Ordered by step key, name, step. For a step whose task reuses another's, the points of the task that was run. */
  ofRun(runId: RunId): Promise<readonly MetricRow[]>;
}

export interface LedgerAnswer { readonly text: string; readonly finishReason: string; readonly promptTokens: number; readonly completionTokens: number }
export interface LedgerRepository {
  find(keys: readonly string[]): Promise<ReadonlyMap<string, LedgerAnswer>>;
  /** The first answer for a key stays. One that is new is charged to the run in the same transaction. */
  record(key: string, model: string, answer: LedgerAnswer, runId: RunId | null): Promise<void>;
  /** What the run was charged so far. */
  spent(runId: RunId): Promise<Spent>;
}

/** A batch at a teacher's Batch API that was begun and not yet collected. */
export interface TeacherBatchRow { readonly id: string; readonly key: string; readonly batchId: string | null; readonly inputFileId: string | null; readonly requests: number; readonly createdAt: Date }
export interface TeacherBatchRepository {
  /** Open batches with this key, oldest first. */
  open(key: string): Promise<readonly TeacherBatchRow[]>;
  /** Written before the provider is called: a crash in between leaves a row without batchId. Returns its id. */
  begin(input: { readonly key: string; readonly runId: RunId; readonly requests: number }): Promise<string>;
  submitted(id: string, input: { readonly batchId: string; readonly inputFileId: string }): Promise<void>;
  close(id: string, state: 'collected' | 'failed'): Promise<void>;
}

export interface StudyEntry { readonly label: string; readonly preset: string; readonly model: string; readonly seed: number }
export interface StudyRow { readonly id: StudyId; readonly teamId: TeamId; readonly name: string; readonly request: unknown; readonly createdAt: Date }
export interface StudyRepository {
  /** The study and all its runs, with their outbox rows, or nothing. Keys as with runs. */
  create(input: {
    readonly teamId: TeamId; readonly name: string; readonly request: unknown; readonly idempotencyKey: string | null; readonly bodyHash: string | null;
    readonly runs: readonly { readonly spec: RunSpec; readonly plan: Plan; readonly entry: StudyEntry }[];
  }): Promise<{ readonly study: StudyRow; readonly created: boolean }>;
  get(id: StudyId, teamId: TeamId): Promise<StudyRow | null>;
  /** Newest first. */
  list(input: { readonly teamId: TeamId; readonly limit: number; readonly before: StudyId | null }): Promise<readonly StudyRow[]>;
  /** In the order they were launched. */
  runsOf(id: StudyId): Promise<readonly RunRow[]>;
}

export interface DatasetRow {
  readonly id: DatasetId; readonly teamId: TeamId; readonly name: string; readonly state: 'registering' | 'ready' | 'failed'; readonly space: 'sft' | 'improver' | 'policy' | 'preferences';
  readonly source: DatasetSource; readonly license: string | null; readonly schema: DatasetFacts['schema'] | null; readonly counts: DatasetFacts['counts'] | null;
  readonly sha256: string | null; readonly preview: DatasetFacts['preview'] | null; readonly failure: Failure | null; readonly createdAt: Date; readonly updatedAt: Date;
}
/** What registering found. */
export interface DatasetFacts {
  readonly schema: { readonly format: string; readonly columns: readonly string[] };
  readonly counts: RowCounts & { readonly flagged: Readonly<Record<string, number>> };
  readonly sha256: string;
  readonly preview: readonly unknown[];
}
export interface DatasetRepository {
  /** registering, with its `register` outbox row; DATASET.NAME_TAKEN when the team has one of that name that did not fail (a failed one is replaced). */
  create(input: Pick<DatasetRow, 'teamId' | 'name' | 'space' | 'source' | 'license'>): Promise<DatasetRow>;
  get(id: DatasetId): Promise<DatasetRow | null>;
  find(teamId: TeamId, name: string): Promise<DatasetRow | null>;
  /** Newest first. */
  list(input: { readonly teamId: TeamId; readonly limit: number; readonly before: DatasetId | null }): Promise<readonly DatasetRow[]>;
  /** registering → ready | failed. */
  finish(id: DatasetId, facts: DatasetFacts): Promise<boolean>;
  fail(id: DatasetId, failure: Failure): Promise<boolean>;
  /** Ids that are still registering, for the reconciler. */
  unfinished(): Promise<readonly DatasetId[]>;
}

/** How fast work of a kind went lately: for estimates. */
export interface RateRow { readonly kind: StepKind; readonly rows: number; readonly seconds: number; readonly tasks: number }
export interface RateRepository {
  /**
   * Rows and seconds of the newest 200 worker and teach tasks of each kind (newest steps first, no merges) that were not cached and succeeded at their first
   * attempt: a later one may find part of the work done. Rows: those that went in; for trainings those that were left to train on. Kinds without such work are left out.
   */
  recent(): Promise<readonly RateRow[]>;
}

export interface OutboxRow { readonly id: bigint; readonly queue: 'advance' | 'place' | 'follow' | 'local' | 'register'; readonly payload: Readonly<Record<string, string>> }
export interface OutboxRepository {
  /** Writes rows by itself: for the reconciler. */
  add(rows: readonly { readonly queue: OutboxRow['queue']; readonly payload: Readonly<Record<string, string>> }[]): Promise<void>;
  /** Hands due rows (at most `limit`) to `send` and deletes them when it resolves; concurrent relays never get the same row. Returns how many. */
  relay(limit: number, send: (rows: readonly OutboxRow[]) => Promise<void>): Promise<number>;
  /** Calls `wake` whenever a transaction that added rows commits (LISTEN/NOTIFY), in any process. Reconnects by itself. */
  listen(wake: () => void): Promise<{ close(): Promise<void> }>;
}

export interface TokenRepository {
  /** Makes (or finds) the team. */
  ensureTeam(name: string): Promise<TeamId>;
  /** Makes a token `sgpo_…` (256 random bits, base64url), stores its hash, returns the token: it can never be read again. */
  create(input: { readonly teamId: TeamId; readonly name: string; readonly expiresAt: Date | null }): Promise<{ readonly id: TokenId; readonly token: string }>;
  /** The team of a live token; notes its use (at most once a minute). null when unknown, expired or revoked. */
  verify(token: string): Promise<{ readonly id: TokenId; readonly teamId: TeamId } | null>;
  revoke(id: TokenId): Promise<boolean>;
  /** Live tokens of the team. */
  count(teamId: TeamId): Promise<number>;
}
