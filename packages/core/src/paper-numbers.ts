/** The paper's own results (arXiv 2507.20181, Tables 3 to 7), as printed there. Judges measured them on models of 1.5 to 8 billion parameters. */
import type { PresetName } from './recipes.ts';

export interface PaperColumn { readonly model: string; readonly benchmark: 'AlpacaEval 2.0' | 'Arena-Hard'; readonly metric: 'LC' | 'WR' }
export interface PaperTable {
  readonly table: 3 | 4 | 5 | 6 | 7;
  readonly title: string;
  readonly columns: readonly PaperColumn[];
  /** Decimal places in print. */
  readonly digits: 1 | 2;
  /** `name`: the paper's; `values`: percent, one a column. */
  readonly rows: readonly { readonly preset: PresetName; readonly name: string; readonly values: readonly number[] }[];
}

const column = (model: string, benchmark: PaperColumn['benchmark'], metric: PaperColumn['metric']): PaperColumn => ({ model, benchmark, metric });
const alpacaEval = (model: string): readonly PaperColumn[] => [column(model, 'AlpacaEval 2.0', 'LC'), column(model, 'AlpacaEval 2.0', 'WR')];
const qwen7 = 'Qwen2.5-Base (7B)';
const llama8 = 'Llama3-Base (8B)';
const qwen1 = 'Qwen2-Base (1.5B)';
const bothBenchmarks = [qwen7, llama8].flatMap((model) => [...alpacaEval(model), column(model, 'Arena-Hard', 'WR')]);
const sft = { preset: 'sft', name: 'SFT', values: [5.8, 4.0, 7.7, 7.3, 4.7, 4.9] } as const;
const sgpo = { preset: 'sgpo', name: 'SGPO', values: [25.2, 29.6, 41.2, 20.6, 26.2, 21.8] } as const;

export const paperTables: readonly PaperTable[] = [
  {
    table: 3, title: 'main results', columns: bothBenchmarks, digits: 1,
    rows: [
      sft,
      { preset: 'dpo', name: 'DPO', values: [9.2, 9.9, 23.9, 14.3, 12.3, 12.7] },
      { preset: 'spin', name: 'SPIN', values: [5.5, 4.8, 8.6, 7.5, 5.8, 3.4] },
      { preset: 'sgpo-separate', name: 'SGPO†', values: [6.6, 5.5, 7.9, 9.0, 7.4, 7.0] },
      { preset: 'sgpo-external', name: 'SGPO‡', values: [11.6, 7.5, 18.3, 9.4, 8.5, 5.7] },
      sgpo,
    ],
  },
  {
    table: 4, title: 'on-policy and off-policy pairs', columns: alpacaEval(llama8), digits: 2,
    rows: [
      { preset: 'spin', name: 'SPIN', values: [7.45, 5.78] },
      { preset: 'sgpo-offpolicy', name: 'SGPO⋄', values: [15.00, 10.23] },
      { preset: 'sgpo', name: 'SGPO', values: [20.62, 26.21] },
    ],
  },
  {
    table: 5, title: 'improver targets, and one model or two', columns: alpacaEval(qwen1), digits: 2,
    rows: [
      { preset: 'sgpo-external', name: 'SGPO-v1', values: [3.10, 3.30] },
      { preset: 'sgpo-v2', name: 'SGPO-v2', values: [3.41, 4.42] },
      { preset: 'sgpo-separate', name: 'SGPO-v3', values: [2.85, 3.06] },
      { preset: 'sgpo', name: 'SGPO', values: [3.46, 4.82] },
    ],
  },
  {
    table: 6, title: 'another round', columns: bothBenchmarks, digits: 1,
    rows: [sft, sgpo, { preset: 'sgpo+step2', name: 'SGPO + Step 2', values: [23.6, 34.2, 44.6, 22.4, 34.5, 21.9] }],
  },
  {
    table: 7, title: 'the reference in the prompts', columns: alpacaEval(qwen7), digits: 2,
    rows: [
      { preset: 'sgpo-all-ref', name: 'SGPO (All Ref)', values: [20.81, 21.49] },
      { preset: 'sgpo-no-ref', name: 'SGPO (No Ref)', values: [24.14, 26.55] },
      { preset: 'sgpo', name: 'SGPO', values: [25.24, 29.61] },
    ],
  },
];

/** The paper prints no errors of its own: this one follows from the number of prompts. Points of a win rate. */
export const paperNoise = { points: 1.3, of: 'win rates of 20 to 30 % on the 805 prompts of AlpacaEval 2.0' } as const;
