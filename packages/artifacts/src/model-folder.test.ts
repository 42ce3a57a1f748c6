import { mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { describeModelFolder } from './model-folder.ts';
import { errorOf, temporaryFolder } from './testing/temporary-folder.ts';

type Tensors = Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }>;
const weight: Tensors = { w: { dtype: 'F32', shape: [2, 3], data_offsets: [0, 24] }, b: { dtype: 'BF16', shape: [4], data_offsets: [24, 32] } };

function safetensors(header: unknown = weight, dataBytes = 32): Buffer {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, Buffer.alloc(dataBytes)]);
}

const good: Record<string, string | Buffer> = {
  'config.json': '{"model_type":"llama","architectures":["LlamaForCausalLM"]}', 'model.safetensors': safetensors(), 'tokenizer.json': '{}',
  'tokenizer_config.json': '{"chat_template":"{{ messages }}"}',
};

/** A model folder of the good files, changed; null leaves a file out. */
async function folder(changes: Record<string, string | Buffer | null> = {}): Promise<{ root: string; check: () => ReturnType<typeof describeModelFolder> }> {
  const root = temporaryFolder();
  for (const [name, content] of Object.entries({ ...good, ...changes })) {
    if (content !== null) await writeFile(join(root, name), content);
  }
  return { root, check: () => describeModelFolder(root, { roots: [root], field: 'model.path' }) };
}

describe('a usable folder', () => {
  it('lists what to import, never what runs code', async () => {
    const { root, check } = await folder({ 'generation_config.json': '{}', 'pytorch_model.bin': 'pickle', 'x.pkl': '', 'modeling.py': '', 'README.md': '#', 'consolidated.safetensors': 'other' });
    const bytes = Object.values(good).reduce((sum, content) => sum + Buffer.byteLength(content), 0) + 2;
    expect(await check()).toEqual({
      path: root, files: ['config.json', 'generation_config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'], bytes, architecture: 'LlamaForCausalLM', parameters: 10,
    });
  });
  it('may have shards with an index', async () => {
    const index = JSON.stringify({ weight_map: { w: 'model-1.safetensors', b: 'model-1.safetensors', v: 'model-2.safetensors' } });
    const { check } = await folder({
      'model.safetensors': null, 'model.safetensors.index.json': index, 'model-1.safetensors': safetensors(), 'model-2.safetensors': safetensors({ v: { dtype: 'F16', shape: [], data_offsets: [0, 2] }, __metadata__: { format: 'pt' } }, 2),
    });
    expect(await check()).toMatchObject({ parameters: 11, files: expect.arrayContaining(['model-1.safetensors', 'model-2.safetensors', 'model.safetensors.index.json']) as string[] });
  });
  it('may have its template in a file of its own, or several named ones', async () => {
    for (const changes of [{ 'tokenizer_config.json': '{}', 'chat_template.jinja': '{{ x }}' }, { 'tokenizer_config.json': null, 'chat_template.jinja': '{{ x }}' }, { 'tokenizer.json': null, 'tokenizer_config.json': '{"chat_template":[{"name":"default","template":"x"}]}' }]) {
      await (await folder(changes)).check();
    }
  });
  it('may lack a template where none is needed, and nothing else', async () => {
    const { root } = await folder({ 'tokenizer_config.json': '{}' });
    const check = () => describeModelFolder(root, { roots: [root], field: 'model.path', requireChatTemplate: false });
    expect(await check()).toMatchObject({ architecture: 'LlamaForCausalLM' });
    await rm(join(root, 'tokenizer.json'));
    await rm(join(root, 'tokenizer_config.json'));
    expect((await errorOf(check())).code).toBe('MODEL.INVALID_FOLDER');
  });
  it('counts no parameters of quantised weights, and takes the model type for want of an architecture', async () => {
    const { check } = await folder({ 'model.safetensors': safetensors({ q: { dtype: 'U8', shape: [4], data_offsets: [0, 4] } }, 4), 'config.json': '{"model_type":"llama"}' });
    expect(await check()).toMatchObject({ parameters: null, architecture: 'llama' });
  });
  it('may be made of links that stay within the roots', async () => {
    const root = temporaryFolder();
    await mkdir(join(root, 'blobs'));
    await mkdir(join(root, 'snapshot'));
    for (const [name, content] of Object.entries(good)) {
      await writeFile(join(root, 'blobs', name), content);
      await symlink(`../blobs/${name}`, join(root, 'snapshot', name));
    }
    expect((await describeModelFolder(join(root, 'snapshot'), { roots: [root], field: 'model.path' })).files).toHaveLength(4);
    expect((await errorOf(describeModelFolder(join(root, 'snapshot'), { roots: [join(root, 'snapshot')], field: 'model.path' }))).code).toBe('MODEL.NOT_ALLOWED');
  });
});

describe('refused', () => {
  it.each<[string, Record<string, string | Buffer | null>, string]>([
    ['no config', { 'config.json': null }, 'has no config.json'],
    ['an adapter', { 'config.json': null, 'adapter_config.json': '{}' }, 'holds an adapter'],
    ['a config that is not JSON', { 'config.json': '{' }, 'config.json is not JSON'],
    ['a config that is a list', { 'config.json': '[]' }, 'config.json is not a JSON object'],
    ['a config that names no model', { 'config.json': '{"architectures":[]}' }, 'neither architectures nor model_type'],
    ['pickled weights', { 'model.safetensors': null, 'pytorch_model.bin': 'x' }, 'weights are not safetensors'],
    ['no weights', { 'model.safetensors': null }, 'has no model.safetensors'],
    ['empty weights', { 'model.safetensors': '' }, 'is shorter than its header'],
    ['a Git LFS pointer', { 'model.safetensors': 'version https://git-lfs.github.com/spec/v1\n' }, 'says its header is longer'],
    ['a header that is not JSON', { 'model.safetensors': safetensors('{"a"') }, 'not JSON'],
    ['a header without tensors', { 'model.safetensors': safetensors('{}', 0) }, 'holds no tensor'],
    ['cut weights', { 'model.safetensors': safetensors(weight, 31) }, 'was cut or damaged'],
    ['weights with more data', { 'model.safetensors': safetensors(weight, 33) }, 'was cut or damaged'],
    ['offsets that do not fit the shape', { 'model.safetensors': safetensors({ w: { dtype: 'F32', shape: [2], data_offsets: [0, 9] } }, 9) }, 'without a valid dtype'],
    ['negative offsets', { 'model.safetensors': safetensors({ w: { dtype: 'F32', shape: [1], data_offsets: [-4, 0] } }, 0) }, 'without a valid dtype'],
    ['overlapping tensors', { 'model.safetensors': safetensors({ a: { dtype: 'F32', shape: [2], data_offsets: [0, 8] }, b: { dtype: 'F32', shape: [2], data_offsets: [4, 12] } }, 12) }, 'overlap'],
    ['an endless shape', { 'model.safetensors': safetensors({ w: { dtype: 'X', shape: [2 ** 50, 2 ** 50], data_offsets: [0, 0] } }, 0) }, 'without a valid dtype'],
    ['a missing shard', { 'model.safetensors': null, 'model.safetensors.index.json': '{"weight_map":{"w":"a.safetensors"}}' }, 'a.safetensors is missing'],
    ['a shard without its weight', { 'model.safetensors': null, 'model.safetensors.index.json': '{"weight_map":{"other":"a.safetensors"}}', 'a.safetensors': safetensors() }, 'lacks the weight "other"'],
    ['a shard elsewhere', { 'model.safetensors': null, 'model.safetensors.index.json': '{"weight_map":{"w":"../a.safetensors"}}' }, 'outside the folder'],
    ['an empty index', { 'model.safetensors': null, 'model.safetensors.index.json': '{}' }, 'no weight_map'],
    ['no tokenizer', { 'tokenizer.json': null, 'tokenizer_config.json': null }, 'no tokenizer.json'],
    ['a broken tokenizer', { 'tokenizer.json': 'x' }, 'tokenizer.json is not JSON'],
  ])('%s', async (_, changes, message) => {
    const { root, check } = await folder(changes);
    const error = await errorOf(check());
    expect([error.code, error.message]).toEqual(['MODEL.INVALID_FOLDER', expect.stringContaining(message)]);
    expect(error.problems[0]).toMatchObject({ field: 'model.path', value: root, fix: error.remedy });
  });
  it.each([[{ 'tokenizer_config.json': '{}' }], [{ 'tokenizer_config.json': '{"chat_template":" "}' }], [{ 'tokenizer_config.json': '{"chat_template":[]}' }], [{ 'tokenizer_config.json': null }], [{ 'tokenizer_config.json': '{}', 'chat_template.jinja': ' \n' }]])('without a chat template: %o', async (changes) => {
    expect((await errorOf((await folder(changes)).check())).code).toBe('MODEL.NO_CHAT_TEMPLATE');
  });
  it('as not found, not allowed, or no folder', async () => {
    const { root } = await folder();
    const check = (path: string) => errorOf(describeModelFolder(path, { roots: [root], field: 'model.path' }));
    expect((await check(join(root, 'no'))).code).toBe('MODEL.NOT_FOUND');
    expect((await check('/etc')).code).toBe('MODEL.NOT_ALLOWED');
    expect((await check(join(root, 'config.json'))).code).toBe('MODEL.INVALID_FOLDER');
  });
  it('a file that is a link out of the roots, a dangling link, or a folder', async () => {
    const elsewhere = temporaryFolder();
    await writeFile(join(elsewhere, 'secret'), '{}');
    const linked = await folder({ 'tokenizer.json': null });
    await symlink(join(elsewhere, 'secret'), join(linked.root, 'tokenizer.json'));
    expect((await errorOf(linked.check())).code).toBe('MODEL.NOT_ALLOWED');
    const dangling = await folder({ 'tokenizer.json': null });
    await symlink(join(dangling.root, 'gone'), join(dangling.root, 'tokenizer.json'));
    expect((await errorOf(dangling.check())).code).toBe('MODEL.INVALID_FOLDER');
    const nested = await folder({ 'tokenizer.json': null });
    await mkdir(join(nested.root, 'tokenizer.json'));
    expect((await errorOf(nested.check())).code).toBe('MODEL.INVALID_FOLDER');
  });
});
