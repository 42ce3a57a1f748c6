import { describe, expect, it } from 'vitest';
import { filesOfSplit } from './hub-split.ts';

const split = (names: readonly string[], name: string, config: string | null = null) => { const found = filesOfSplit(names.map((path) => ({ name: path })), name, config); return 'files' in found ? found.files.map((file) => file.name) : found.message; };

describe('filesOfSplit', () => {
  const ultrachat = ['README.md', 'data/test_sft-00000-of-00001.parquet', 'data/train_gen-00000-of-00001.parquet', 'data/train_sft-00001-of-00003.parquet', 'data/train_sft-00000-of-00003.parquet', 'data/train_sft-00002-of-00003.parquet'];
  it.each([
    [ultrachat, 'train_sft', null, ultrachat.slice(3).toSorted()],
    [['data/train-00000-of-00001.parquet', 'data/train_prefs-00000-of-00001.parquet', 'data/test-00000-of-00001.parquet'], 'train', null, ['data/train-00000-of-00001.parquet']],
    [['train.jsonl.gz', 'validation.jsonl'], 'train', null, ['train.jsonl.gz']], [['train.jsonl', 'train.parquet'], 'train', null, ['train.parquet']],
    [['en/train-00000-of-00001.parquet', 'de/train-00000-of-00001.parquet'], 'train', 'de', ['de/train-00000-of-00001.parquet']],
    [['default/train/0001.parquet', 'default/train/0000.parquet', 'default/test/0000.parquet'], 'train', null, ['default/train/0000.parquet', 'default/train/0001.parquet']],
    [['en/train/0000.parquet', 'de/train/0000.parquet'], 'train', 'en', ['en/train/0000.parquet']], [['only/train.jsonl'], 'train', null, ['only/train.jsonl']],
    [['data/train-0.parquet', 'extra/train-0.parquet'], 'train', null, ['data/train-0.parquet']], [['data/train.jsonl'], 'train', 'default', ['data/train.jsonl']],
  ] as const)('of %j, the split %s', (names, name, config, expected) => { expect(split(names, name, config)).toEqual(expected); });
  it('asks back where it cannot tell, and says what there is', () => {
    expect(split(['en/train.jsonl', 'de/train.jsonl'], 'train')).toContain('several configs: en, de');
    expect(split(ultrachat, 'train')).toContain('no file of the split train; it has data/test_sft-00000-of-00001.parquet');
    expect(split(['README.md'], 'train', 'x')).toBe('the repository has no file of the split train of the config x; it has no data files');
  });
});
