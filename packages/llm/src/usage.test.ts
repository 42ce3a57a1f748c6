import { expect, it } from 'vitest';
import type { EndpointTeacher } from '@sgpo/core';
import { optionsFor } from './testing/fixtures.ts';
import { createUsageMeter } from './usage.ts';

const openai: Partial<EndpointTeacher> = { baseUrl: 'https://api.openai.com/v1', model: 'gpt-4-turbo-2024-04-09' };

it.each<[string, Partial<EndpointTeacher>, number | null]>([
  ['the price of the table', openai, 40],
  ['half of it in a batch', { ...openai, mode: 'batch' }, 20],
  ['the price of the spec', { ...openai, price: { promptPerMillion: 1, completionPerMillion: 2 } }, 3],
  ['none for a model that is not listed', { ...openai, model: 'gpt-9' }, null],
  ['none for a listed name on another server', { ...openai, baseUrl: 'https://example.com/v1' }, null],
])('takes %s', (_name, changes, cost) => {
  const meter = createUsageMeter(optionsFor('http://127.0.0.1/v1', changes));
  meter.addPaid({ text: '', finishReason: 'stop', tokens: { prompt: 1_000_000, completion: 1_000_000 } });
  meter.addReused();
  meter.addBatch();
  expect(meter.read()).toEqual({ calls: 1, reused: 1, batches: 1, promptTokens: 1_000_000, completionTokens: 1_000_000, cost });
  meter.addPaid({ text: '', finishReason: 'stop', tokens: null });
  expect(meter.read()).toMatchObject({ calls: 2, cost: null });
});
