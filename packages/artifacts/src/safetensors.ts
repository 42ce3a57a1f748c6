import { open } from 'node:fs/promises';

/** What the header of a safetensors file tells. `parameters` is null when tensors are quantised: their elements are not parameters. */
export interface SafetensorsHeader { readonly tensors: readonly string[]; readonly parameters: number | null }

/** Why a file is not safetensors. */
export class SafetensorsError extends Error {
  override readonly name = 'SafetensorsError';
}

// The format's own limit.
const maxHeaderBytes = 100_000_000;
const elementBytes: Readonly<Record<string, number>> = {
  F64: 8, I64: 8, U64: 8, F32: 4, I32: 4, U32: 4, F16: 2, BF16: 2, I16: 2, U16: 2, F8_E4M3: 1, F8_E5M2: 1, I8: 1, U8: 1, BOOL: 1,
};
const floats = ['F64', 'F32', 'F16', 'BF16'];

interface Tensor { readonly name: string; readonly dtype: string; readonly elements: number; readonly begin: number; readonly end: number }

/**
 * Reads and checks the header of a safetensors file: 8 bytes of length (little endian), JSON, then the data; every tensor within the
 * file, as long as its shape says, none over another. Throws SafetensorsError, or the file system's error.
 */
export async function readSafetensorsHeader(path: string): Promise<SafetensorsHeader> {
  const handle = await open(path, 'r');
  try {
    const { size } = await handle.stat();
    const prefix = Buffer.alloc(8);
    if ((await handle.read(prefix, 0, 8, 0)).bytesRead < 8) throw new SafetensorsError('is shorter than its header');
    const headerBytes = prefix.readBigUInt64LE();
    if (headerBytes > BigInt(maxHeaderBytes) || headerBytes > BigInt(size - 8)) throw new SafetensorsError('says its header is longer than the file');
    const header = Buffer.alloc(Number(headerBytes));
    if ((await handle.read(header, 0, header.length, 8)).bytesRead < header.length) throw new SafetensorsError('is shorter than its header');
    return summarise(tensorsOf(header), size - 8 - header.length);
  } finally {
    await handle.close();
  }
}

function tensorsOf(header: Buffer): Tensor[] {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(header));
  } catch (cause) {
    throw new SafetensorsError('has a header that is not JSON', { cause });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new SafetensorsError('has a header that is not a JSON object');
  return Object.entries(value).filter(([name]) => name !== '__metadata__').map(([name, tensor]) => tensorOf(name, tensor));
}

function tensorOf(name: string, value: unknown): Tensor {
  const wrong = new SafetensorsError(`has a tensor ${JSON.stringify(name.slice(0, 100))} without a valid dtype, shape and data_offsets`);
  if (typeof value !== 'object' || value === null || !('dtype' in value) || !('shape' in value) || !('data_offsets' in value)) throw wrong;
  const { dtype, shape, data_offsets: offsets } = value;
  if (typeof dtype !== 'string' || !isCounts(shape) || !isCounts(offsets) || offsets.length !== 2) throw wrong;
  const [begin = 0, end = 0] = offsets;
  const elements = shape.reduce((product, length) => product * length, 1);
  const width = Object.hasOwn(elementBytes, dtype) ? elementBytes[dtype] : undefined;
  if (begin > end || !Number.isSafeInteger(elements) || (width !== undefined && end - begin !== elements * width)) throw wrong;
  return { name, dtype, elements, begin, end };
}

function summarise(tensors: readonly Tensor[], dataBytes: number): SafetensorsHeader {
  if (tensors.length === 0) throw new SafetensorsError('holds no tensor');
  let reached = 0;
  for (const { name, begin, end } of tensors.toSorted((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (begin < reached) throw new SafetensorsError(`has tensors that overlap (${JSON.stringify(name.slice(0, 100))})`);
    reached = end;
  }
  if (reached !== dataBytes) throw new SafetensorsError(`holds ${String(dataBytes)} bytes of data where its header describes ${String(reached)}: it was cut or damaged`);
  const plain = tensors.every(({ dtype }) => floats.includes(dtype));
  return { tensors: tensors.map(({ name }) => name), parameters: plain ? tensors.reduce((sum, { elements }) => sum + elements, 0) : null };
}

const isCounts = (value: unknown): value is number[] => Array.isArray(value) && value.every((count) => Number.isSafeInteger(count) && Number(count) >= 0);
