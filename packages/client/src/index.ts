export { createClient, type Client, type ClientOptions, type Download } from './client.ts';
export { ApiError } from './errors.ts';
export type { StreamOptions } from './stream-events.ts';
