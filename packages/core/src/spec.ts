import type { PresetName } from './recipes.ts';

/** A chat message as models take it. */
export interface Message { readonly role: 'system' | 'user' | 'assistant'; readonly content: string }

/** A table of rows on disk. `limit` keeps the first rows; the others are counted as `over_limit`. */
export interface DatasetSource { readonly path: string; readonly limit: number | null }

/** Options that span every preset of the paper's tables (method: Section 3 and the ablations of Tables 5 to 7). */
export interface RecipeOptions {
  /** shared: π* is policy and improver in one set of weights. separate: the improver is trained apart, the policy stays π₀. */
  readonly improver: 'shared' | 'separate';
  /** Targets of improver training: ŷ (improved) and y_ext (external). */
  readonly targets: readonly ('improved' | 'external')[];
  /** y_sft inside p_train. */
  readonly referenceInTraining: boolean;
  /** y_sft inside p_refine. */
  readonly referenceInRefining: boolean;
  /** Chosen side of the pairs: y⁺ or y_sft. */
  readonly chosen: 'refined' | 'reference';
  /** Rounds of Step 2; 2 is "+Step 2". */
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
  /** Base URL of an OpenAI-compatible API, ending in /v1. */
  readonly baseUrl: string;
  readonly model: string;
  /** Name of the environment variable that holds the key (`env:NAME`), or null when the server needs none. */
  readonly apiKey: string | null;
  readonly temperature: number;
  readonly topP: number;
  readonly maxTokens: number;
  /** Sent with every request when not null. */
  readonly seed: number | null;
  readonly concurrency: number;
  readonly timeoutSeconds: number;
  readonly maxAttempts: number;
  /** Currency per million tokens; null: unknown, and the report says so. */
  readonly price: { readonly promptPerMillion: number; readonly completionPerMillion: number } | null;
}

export interface FilterOptions {
  /** Width of Tukey's fences in IQRs. */
  readonly factor: number;
  /** Answers with fewer tokens enter neither the quartiles nor the training set (`too_short`). */
  readonly minTokens: number;
  /** Count the end token into the perplexity. */
  readonly includeEndToken: boolean;
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
}

export interface PreferenceOptions extends TrainingOptions {
  /** TRL's name of the loss; sigmoid is DPO. */
  readonly loss: 'sigmoid' | 'hinge' | 'ipo';
  readonly beta: number;
  readonly labelSmoothing: number;
  /** round: the checkpoint the round starts from; initial: π₀ in every round. */
  readonly reference: 'round' | 'initial';
}

/** How the work is cut and reused. Nothing here reaches a result. */
export interface ExecutionOptions {
  /** Rows of a shard, rounded up to whole blocks. */
  readonly shardRows: number;
  /** false: run everything again, reuse nothing but the teacher's ledger. */
  readonly cache: boolean;
  readonly checkpointSeconds: number;
}

/** A run as it was asked for, with every default filled in. What compileRun reads, and what is kept frozen with the run. */
export interface RunSpec {
  readonly name: string | null;
  readonly preset: PresetName;
  readonly seed: number;
  /** Folder of π₀, in Hugging Face format. */
  readonly model: { readonly path: string };
  readonly data: { readonly improver: DatasetSource; readonly policy: DatasetSource; readonly heldOut: DatasetSource | null };
  readonly recipe: RecipeOptions;
  readonly teacher: TeacherOptions;
  readonly sampling: SamplingOptions;
  /** Decoding on the held-out prompts; other fields as in sampling. */
  readonly evaluation: { readonly temperature: number; readonly topP: number; readonly maxNewTokens: number };
  readonly filter: FilterOptions;
  readonly improverTraining: TrainingOptions;
  readonly preference: PreferenceOptions;
  readonly execution: ExecutionOptions;
}
