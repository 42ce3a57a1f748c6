import { describe, expect, it } from 'vitest';
import { costOf, priceOf } from './prices.ts';

const teacher = { source: 'endpoint', baseUrl: 'https://api.openai.com/v1', model: 'gpt-4-turbo', price: null, mode: 'requests' } as const;
const turbo = { promptPerMillion: 10, completionPerMillion: 30 };

describe('priceOf', () => {
  it('is the list price of that provider, dated names included', () => {
    expect(priceOf(teacher)).toEqual(turbo);
    expect(priceOf({ ...teacher, model: 'gpt-4-turbo-2024-04-09' })).toEqual(turbo);
  });
  it('is unknown for other models, other names and other servers', () => {
    for (const model of ['gpt-9', 'gpt-4-turbo-x', '__proto__', 'constructor', null]) expect(priceOf({ ...teacher, model })).toBeNull();
    for (const baseUrl of ['http://127.0.0.1:8080/v1', 'https://api.openai.com.example.org/v1', null]) expect(priceOf({ ...teacher, baseUrl })).toBeNull();
  });
  it('is the spec\'s own before all others', () => {
    const price = { promptPerMillion: 1, completionPerMillion: 2 };
    expect(priceOf({ ...teacher, price })).toEqual(price);
    expect(priceOf({ ...teacher, baseUrl: 'http://127.0.0.1:1/v1', price })).toEqual(price);
  });
  it('is half in a batch, and nothing for weights of one\'s own', () => {
    expect(priceOf({ ...teacher, mode: 'batch' })).toEqual({ promptPerMillion: 5, completionPerMillion: 15 });
    expect(priceOf({ ...teacher, mode: 'batch', model: 'gpt-9' })).toBeNull();
    expect(priceOf({ ...teacher, source: 'fleet', baseUrl: null, model: null })).toEqual({ promptPerMillion: 0, completionPerMillion: 0 });
  });
});

it('costOf counts both kinds of tokens, and knows nothing without a price', () => {
  expect(costOf(turbo, { promptTokens: 2_000_000, completionTokens: 500_000 })).toBe(35);
  expect(costOf(null, { promptTokens: 1, completionTokens: 1 })).toBeNull();
});
