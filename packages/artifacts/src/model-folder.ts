import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { asUnreadable, fieldError, resolveAllowed, type AllowedPlace, type PathErrors } from './allowed-path.ts';
import { isAbsent } from './disk-errors.ts';
import { SafetensorsError, readSafetensorsHeader } from './safetensors.ts';

/** A usable model folder. `files` are the names to import; `parameters` is null where the weights do not tell. */
export interface ModelFolder {
  readonly path: string;
  readonly files: readonly string[];
  readonly bytes: number;
  readonly architecture: string;
  readonly parameters: number | null;
}

const modelErrors: PathErrors = { noun: 'model folder', notFound: 'MODEL.NOT_FOUND', notAllowed: 'MODEL.NOT_ALLOWED', unreadable: 'MODEL.INVALID_FOLDER' };
const fileErrors: PathErrors = { ...modelErrors, noun: 'model file', notFound: 'MODEL.INVALID_FOLDER' };
const singleWeights = 'model.safetensors';
const weightIndex = 'model.safetensors.index.json';
// What a model needs beside its weights. Nothing that runs code when it is loaded: no pickle, no Python.
const companions = [
  'config.json', 'generation_config.json', 'tokenizer.json', 'tokenizer_config.json', 'tokenizer.model', 'spiece.model', 'vocab.json', 'vocab.txt',
  'merges.txt', 'added_tokens.json', 'special_tokens_map.json', 'chat_template.jinja',
];
const maxJsonBytes = 256 * 1024 * 1024;

type Json = Readonly<Record<string, unknown>>;

/**
 * Checks a folder in Hugging Face format: config, weights as safetensors (one file, or shards with an index), tokenizer, and a chat template unless
 * `requireChatTemplate` is false (left out: true), as for a base model that is given one when it is trained on conversations. Links are followed, as
 * long as they end within `roots`. Throws MODEL.NOT_FOUND, NOT_ALLOWED, INVALID_FOLDER or NO_CHAT_TEMPLATE, with a problem that names field, value and fix.
 */
export async function describeModelFolder(path: string, { requireChatTemplate = true, ...place }: AllowedPlace & { readonly requireChatTemplate?: boolean }): Promise<ModelFolder> {
  const { real, stats } = await resolveAllowed(path, place, modelErrors);
  const invalid = (message: string, fix: string, cause?: unknown): Error => fieldError('MODEL.INVALID_FOLDER', place.field, path, message, fix, cause);
  if (!stats.isDirectory()) throw invalid('it is not a folder', 'Name the folder that holds config.json');
  try {
    const names = await readdir(real);
    const architecture = await architectureOf();
    const weights = await weightsOf();
    const files = [...companions.filter((name) => names.includes(name)), ...weights.files].toSorted();
    let bytes = 0;
    for (const name of files) bytes += await sizeOf(name);
    await checkTokenizer();
    return { path: real, files, bytes, architecture, parameters: weights.parameters };

    async function architectureOf(): Promise<string> {
      if (!names.includes('config.json')) {
        throw names.includes('adapter_config.json')
          ? invalid('it holds an adapter, not a model', 'Merge the adapter into its base model (merge_and_unload, then save_pretrained) and name that folder')
          : invalid('it has no config.json', 'Name a folder saved with save_pretrained');
      }
      const config = await readJson('config.json');
      const [architecture] = Array.isArray(config['architectures']) ? config['architectures'] as unknown[] : [];
      const named = architecture ?? config['model_type'];
      if (typeof named !== 'string' || named === '') throw invalid('its config.json has neither architectures nor model_type', 'Name a folder saved with save_pretrained');
      return named;
    }

    async function weightsOf(): Promise<{ files: string[]; parameters: number | null }> {
      // The order in which transformers looks for weights; other files beside these would not be loaded.
      const sharded = !names.includes(singleWeights) && names.includes(weightIndex);
      if (!sharded && !names.includes(singleWeights)) {
        throw invalid(names.some((name) => /\.(bin|pt|pth|pkl|gguf)$/.test(name)) ? 'its weights are not safetensors' : `it has no ${singleWeights} and no ${weightIndex}`,
          'Save the model with save_pretrained(folder): that writes safetensors; pickled weights are never loaded');
      }
      const shards = sharded ? await shardsOf() : new Map([[singleWeights, []]]);
      let parameters: number | null = 0;
      for (const [shard, expected] of shards) {
        if (!names.includes(shard)) throw invalid(`${shard} is missing`, `Download the model again: ${weightIndex} lists that file`);
        await sizeOf(shard);
        const header = await readSafetensorsHeader(join(real, shard)).catch((error: unknown) => {
          throw error instanceof SafetensorsError ? invalid(`${shard} ${error.message}`, 'Download or save the model again', error) : error;
        });
        const held = new Set(header.tensors);
        const lacking = expected.find((tensor) => !held.has(tensor));
        if (lacking !== undefined) throw invalid(`${shard} lacks the weight ${JSON.stringify(lacking.slice(0, 100))}`, `Download the model again: ${weightIndex} places that weight there`);
        parameters = parameters === null || header.parameters === null ? null : parameters + header.parameters;
      }
      return { files: [...shards.keys(), ...sharded ? [weightIndex] : []], parameters };
    }

    /** Names of the weights by shard, from the index. */
    async function shardsOf(): Promise<Map<string, string[]>> {
      const { weight_map: map } = await readJson(weightIndex);
      const shards = new Map<string, string[]>();
      for (const [tensor, shard] of typeof map === 'object' && map !== null ? Object.entries<unknown>({ ...map }) : []) {
        if (typeof shard !== 'string' || !/^[^/\\]+\.safetensors$/.test(shard)) throw invalid(`${weightIndex} places a weight outside the folder's safetensors files`, 'Download or save the model again');
        shards.set(shard, [...shards.get(shard) ?? [], tensor]);
      }
      if (shards.size === 0) throw invalid(`${weightIndex} has no weight_map`, 'Download or save the model again');
      return shards;
    }

    async function checkTokenizer(): Promise<void> {
      if (names.includes('tokenizer.json')) await readJson('tokenizer.json');
      const config = names.includes('tokenizer_config.json') ? await readJson('tokenizer_config.json') : null;
      if (config === null && !names.includes('tokenizer.json')) throw invalid('it has no tokenizer.json and no tokenizer_config.json', 'Save the tokenizer into the same folder with save_pretrained');
      if (!requireChatTemplate || hasTemplate(config?.['chat_template']) || (names.includes('chat_template.jinja') && (await readText('chat_template.jinja')).trim() !== '')) return;
      throw fieldError('MODEL.NO_CHAT_TEMPLATE', place.field, path, 'its tokenizer has no chat template',
        'Take the instruction-tuned model, or put a template into chat_template.jinja or tokenizer_config.json (key chat_template)');
    }

    /** Size of a file of the folder, after checking where a link of that name leads. */
    async function sizeOf(name: string): Promise<number> {
      const found = await resolveAllowed(join(real, name), place, fileErrors);
      if (!found.stats.isFile()) throw invalid(`${name} is not a regular file`, 'Download or save the model again');
      return found.stats.size;
    }

    async function readText(name: string): Promise<string> {
      if (await sizeOf(name) > maxJsonBytes) throw invalid(`${name} is larger than ${String(maxJsonBytes)} bytes`, 'Download or save the model again');
      return readFile(join(real, name), 'utf8');
    }

    async function readJson(name: string): Promise<Json> {
      const text = await readText(name);
      let value: unknown;
      try {
        value = JSON.parse(text);
      } catch (cause) {
        throw invalid(`${name} is not JSON`, 'Download or save the model again', cause);
      }
      if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid(`${name} is not a JSON object`, 'Download or save the model again');
      return value as Json;
    }
  } catch (error) {
    if (isAbsent(error)) throw invalid('a file vanished while it was read', 'Let the download finish first', error);
    throw asUnreadable(error, path, place.field, modelErrors);
  }
}

/** A template is a text, or a list of named ones. */
const hasTemplate = (value: unknown): boolean =>
  typeof value === 'string' ? value.trim() !== '' : Array.isArray(value) && value.some((one: unknown) => typeof one === 'object' && one !== null && 'template' in one && hasTemplate(one.template));
