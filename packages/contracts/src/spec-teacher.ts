import { z } from 'zod';
import { count, defaultDecoding, modelSource, positive, secretReference, temperature, text, topP } from './spec-fields.ts';

const baseUrl = text().superRefine((value, context) => {
  const url = URL.canParse(value) ? new URL(value) : null;
  const refuse = (message: string, fix: string): void => { context.addIssue({ code: 'custom', message, params: { fix } }); };
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) refuse('is not an http or https address', 'Give the base URL of an OpenAI-compatible API, such as https://host/v1');
  else if (url.username !== '' || url.password !== '') refuse('holds credentials', 'Remove them and name the key with teacher.apiKey: env:NAME');
  else if (url.search !== '' || url.hash !== '') refuse('holds a query or a fragment', 'Give the address up to the path, such as https://host/v1');
});

const amount = z.number().min(0).max(1e6);

export const budget = z.strictObject({
  tokens: count(1, Number.MAX_SAFE_INTEGER).nullable().default(null).describe('Prompt and completion tokens of all calls'),
  cost: positive(1e9).nullable().default(null).describe('In the currency of the price'),
}).meta({ id: 'Budget' });

export const teacher = z.strictObject({
  source: z.enum(['endpoint', 'fleet', 'policy']).default('endpoint').describe('endpoint: an OpenAI-compatible API; fleet: weights sampled by the workers; policy: the initial policy itself'),
  baseUrl: baseUrl.nullable().default(null).describe('Base URL of an OpenAI-compatible API, ending in /v1'),
  model: text().nullable().default(null).describe("The endpoint's name of the model"),
  weights: modelSource.nullable().default(null).describe("The fleet's teacher"),
  apiKey: secretReference('the teacher').nullable().default(null).describe('env:NAME of the variable with the key, or null'),
  temperature: temperature.default(defaultDecoding.temperature),
  topP: topP.default(defaultDecoding.topP),
  maxTokens: count(1, 65_536).default(1024),
  seed: count(0, 2 ** 31 - 1).nullable().default(null),
  mode: z.enum(['requests', 'batch']).default('requests').describe('batch: the Batch API, at half the price, within a day'),
  concurrency: count(1, 256).default(8),
  timeoutSeconds: positive(3600).default(120),
  maxAttempts: count(1, 20).default(5),
  limits: z.strictObject({
    requestsPerMinute: count(1, 1_000_000).nullable().default(null), tokensPerMinute: count(1, 1_000_000_000).nullable().default(null),
  }).prefault({}).describe('Of one orchestrator; null: none'),
  price: z.strictObject({ promptPerMillion: amount, completionPerMillion: amount }).nullable().default(null).describe('null: that of the price table, if the model is in it'),
  budget: budget.prefault({}).describe('Reached, the run pauses until it is raised'),
}).meta({ id: 'Teacher' });
