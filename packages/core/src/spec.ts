import type { Flaw } from './detect.ts';
import type { LossName, PreferenceTrainer } from './losses.ts';
import type { PresetName } from './recipes.ts';
import type { RowFlag, RowFormat } from './row-formats.ts';

/** A chat message as models take it. */
export interface Message { readonly role: 'system' | 'user' | 'assistant'; readonly content: string }

/** Rows from one place: exactly one of `path`, `hub` and `dataset` is set. */
export interface DatasetSource {
  /** A file, a folder or a glob in one of the allowed folders, or `s3://bucket/key`. */
  readonly path: string | null;
  /** A data set repository of the Hugging Face hub. `token`: `env:NAME` of the variable that holds it. */
  readonly hub: { readonly repo: string; readonly revision: string; readonly config: string | null; readonly split: string; readonly token: string | null } | null;
  /** Name of a registered data set. */
  readonly dataset: string | null;
  /** Keeps the first rows; the others are counted as `over_limit`. */
  readonly limit: number | null;
  readonly format: RowFormat | 'auto';
  /** Column the format reads → column of the file that holds it. */
  readonly columns: Readonly<Record<string, string>> | null;
  /** Lines that are not JSON: dropped with a count (`malformed_line`), or the end of the run. */
  readonly malformed: 'drop' | 'fail';
  /** Flags that are reasons against a row here; a flagged row is kept and counted otherwise. */
  readonly dropFlagged: readonly RowFlag[];
  /** Digest of the rows' bytes that a registered data set had when the run was launched; another one fails the run. */
  readonly sha256: string | null;
}

/** Weights to start from: exactly one of `path`, `artifact` and `from` is set in what a user sends. */
export interface ModelSource {
  /** Hugging Face folder in one of the allowed folders. */
  readonly path: string | null;
  /** Digest of a model artifact; filled in by the service when `from` is set. */
  readonly artifact: string | null;
  /** A model of a finished run: `model` is a name of Plan.models, or `final`. */
  readonly from: { readonly run: string; readonly model: string } | null;
}

/** Options that span every preset of the paper's tables (method: Section 3, baselines, and the ablations of Tables 4 to 7). */
export interface RecipeOptions {
  /**
   * shared: π* is policy and improver in one set of weights. separate: the improver is trained apart, the policy stays π₀.
   * kept: the model the run starts from is policy and improver already (a π* or π** of an earlier run). none: nothing is refined.
   */
  readonly improver: 'shared' | 'separate' | 'kept' | 'none';
  /** Targets of improver training: ŷ (improved) and y_ext (external). */
  readonly targets: readonly ('improved' | 'external')[];
  /** y_sft inside p_train. */
  readonly referenceInTraining: boolean;
  /** y_sft inside p_refine. */
  readonly referenceInRefining: boolean;
  /** Chosen side of the pairs: y⁺, y_sft, or the data set's own. */
  readonly chosen: 'refined' | 'reference' | 'given';
  /** Rejected side: y of the policy, or the data set's own. */
  readonly rejected: 'sampled' | 'given';
  /** Rounds of preference optimisation: 0 is none, 2 is "+Step 2"; SPIN's iterations. */
  readonly rounds: number;
}

export interface SamplingOptions {
  readonly temperature: number;
  readonly topP: number;
  readonly maxNewTokens: number;
  /** Tokens of prompt + answer. */
  readonly maxLength: number;
  /** Rows of a batch: rows with equal floor(pos / blockRows) are sampled together. */
  readonly blockRows: number;
  readonly dtype: 'float32' | 'bfloat16';
}

export interface TeacherOptions {
  /** endpoint: an OpenAI-compatible API. fleet: `weights`, sampled by the workers. policy: the initial policy itself (the paper's outlook). */
  readonly source: 'endpoint' | 'fleet' | 'policy';
  /** Base URL of an OpenAI-compatible API, ending in /v1; null unless the source is an endpoint. All fields that speak of calls have their defaults then. */
  readonly baseUrl: string | null;
  /** The endpoint's name of the model. */
  readonly model: string | null;
  /** The fleet's teacher. */
  readonly weights: ModelSource | null;
  /** Name of the environment variable that holds the key (`env:NAME`), or null when the server needs none. */
  readonly apiKey: string | null;
  readonly temperature: number;
  readonly topP: number;
  readonly maxTokens: number;
  /** Sent with every request when not null. */
  readonly seed: number | null;
  /** requests: one call a row. batch: the OpenAI Batch API, at half the price. */
  readonly mode: 'requests' | 'batch';
  readonly concurrency: number;
  readonly timeoutSeconds: number;
  readonly maxAttempts: number;
  /** Per orchestrator and endpoint; null: no limit of ours. */
  readonly limits: { readonly requestsPerMinute: number | null; readonly tokensPerMinute: number | null };
  /** Currency per million tokens; null: that of the price table, or unknown, and the report says so. */
  readonly price: { readonly promptPerMillion: number; readonly completionPerMillion: number } | null;
  /** What the run may use; reached, it pauses with reason `budget`. null: no limit. */
  readonly budget: Budget;
}

/** Most tokens (prompt and completion) and most cost (currency of the price) of a run's teacher. */
export interface Budget { readonly tokens: number | null; readonly cost: number | null }

export interface FilterOptions {
  /** Width of Tukey's fences in IQRs; null keeps every row that can be scored. */
  readonly factor: number | null;
  /** Answers with fewer tokens enter neither the quartiles nor the training set (`too_short`). */
  readonly minTokens: number;
  /** Count the end token into the perplexity. */
  readonly includeEndToken: boolean;
}

/** Which generated rows may be learnt from. */
export interface RuleOptions {
  /** Answers cut short have no end: `keep` trains on them all the same, without an end token, and counts them. */
  readonly unfinished: 'drop' | 'keep';
  /** Flaws that drop a target of improver training. */
  readonly targetFlaws: readonly Flaw[];
  /** Flaws that drop a pair for its chosen side. */
  readonly chosenFlaws: readonly Flaw[];
  /** A target equal to its draft teaches nothing new. */
  readonly copyOfDraft: 'drop' | 'keep';
  /** Share (0…0.5) of the improver's training rows that are plain prompts with π₀'s own answers, against forgetting. */
  readonly replay: number;
}

export interface LoraOptions {
  readonly rank: number;
  readonly alpha: number;
  readonly dropout: number;
  /** Empty: every linear layer but the output layer. */
  readonly targetModules: readonly string[];
}

export interface TrainingOptions {
  readonly epochs: number;
  readonly learningRate: number;
  readonly batchSize: number;
  readonly microBatchSize: number;
  readonly maxLength: number;
  readonly warmupRatio: number;
  readonly scheduler: 'cosine' | 'linear' | 'constant' | 'constant_with_warmup';
  readonly weightDecay: number;
  readonly maxGradNorm: number;
  readonly dtype: 'float32' | 'bfloat16';
  readonly saveDtype: 'float32' | 'bfloat16';
  readonly gradientCheckpointing: boolean;
  /** null: every weight is trained. */
  readonly lora: LoraOptions | null;
  /** Which weights the training hands on; `both` hands on the best and keeps the last in `last/`. */
  readonly publish: 'last' | 'best' | 'both';
  /** Rows set aside and measured while training. `measure`: TRL's name without "eval_". */
  readonly validation: { readonly share: number; readonly everySteps: number; readonly measure: 'loss' | 'rewards/accuracies' | 'rewards/margins' } | null;
}

/** Step 0. `own`: the model's chat template, an error when there is none; `auto`: it, or the one its control tokens are made for. */
export interface SftTrainingOptions extends TrainingOptions { readonly chatTemplate: 'auto' | 'own' | 'chatml' | 'llama3' | 'plain' }

export interface PreferenceOptions extends TrainingOptions {
  /** Trainer of TRL. cpo and orpo have no reference; SimPO is cpo's loss `simpo`. */
  readonly trainer: PreferenceTrainer;
  /** TRL's names; sigmoid is DPO. Several (of trainer dpo) are summed. */
  readonly loss: readonly LossName[];
  /** One a loss; null: 1 each. */
  readonly lossWeights: readonly number[] | null;
  readonly beta: number;
  readonly labelSmoothing: number;
  /** round: the checkpoint the round starts from; initial: π₀ in every round, which is the model of the run where an improver is kept. */
  readonly reference: 'round' | 'initial';
  /** Length-desensitised DPO; null, like the parameters below: TRL's default, and none where the loss does not read it. */
  readonly ldAlpha: number | null;
  readonly simpoGamma: number | null;
  readonly cpoAlpha: number | null;
  readonly desirableWeight: number | null;
  readonly undesirableWeight: number | null;
  readonly discopopTau: number | null;
}

/** How the work is cut and reused. Nothing here reaches a result. */
export interface ExecutionOptions {
  /** Rows of a shard, rounded up to whole blocks. */
  readonly shardRows: number;
  /** false: run everything again, reuse nothing but the teacher's ledger. */
  readonly cache: boolean;
  readonly checkpointSeconds: number;
}

/** What a run reads. Which sets it needs follows from its recipe. */
export interface DataOptions {
  /** Conversations of Step 0; null: the model is π₀ already. */
  readonly sft: DatasetSource | null;
  /** D_imp. */
  readonly improver: DatasetSource | null;
  /** D_pol. */
  readonly policy: DatasetSource | null;
  /** Given pairs. */
  readonly preferences: DatasetSource | null;
  readonly heldOut: DatasetSource | null;
  /** Prompts of the held-out set in any other set: dropped there (`evaluation_prompt`), or kept and counted. */
  readonly heldOutOverlap: 'drop' | 'keep';
  /** Scores of given pairs: `check` drops pairs whose scores are missing, not finite, beyond ±1e6, tied or inverted. */
  readonly scores: 'check' | 'ignore';
}

/** A run as it was asked for, with every default filled in. What compileRun reads, and what is kept frozen with the run. */
export interface RunSpec {
  readonly name: string | null;
  readonly preset: PresetName;
  readonly seed: number;
  /** π₀, or the base model when Step 0 is part of the run. */
  readonly model: ModelSource;
  readonly data: DataOptions;
  readonly recipe: RecipeOptions;
  /** null for recipes without improver training. */
  readonly teacher: TeacherOptions | null;
  readonly sampling: SamplingOptions;
  /** Decoding on the held-out prompts; other fields as in sampling. */
  readonly evaluation: { readonly temperature: number; readonly topP: number; readonly maxNewTokens: number };
  readonly filter: FilterOptions;
  readonly rules: RuleOptions;
  readonly sftTraining: SftTrainingOptions;
  readonly improverTraining: TrainingOptions;
  readonly preference: PreferenceOptions;
  readonly execution: ExecutionOptions;
  /** Set for a preview: the first `rows` rows, rounded up to whole blocks, without any training. */
  readonly preview: { readonly rows: number } | null;
}
