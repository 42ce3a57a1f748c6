import { createReadStream } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { pipeline, type Duplex } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { FileError } from './file-error.ts';

/** How the bytes of a file are packed. */
export type Packing = 'none' | 'gzip' | 'zstd';

const chunkBytes = 1 << 18;

/** Streams a file's bytes, unpacked. Throws FileError for a packed stream that is broken or ends too early. */
export async function* unpack(path: string, packing: Packing): AsyncGenerator<Buffer> {
  try {
    if (packing === 'none') yield* createReadStream(path, { highWaterMark: chunkBytes }) as AsyncIterable<Buffer>;
    else if (packing === 'gzip') yield* through(path, 0, createGunzip({ chunkSize: chunkBytes }));
    else yield* unpackFrames(path);
  } catch (error) {
    if (!isPackingError(error)) throw error;
    throw new FileError(error.code === 'Z_BUF_ERROR' ? `its ${packing} stream is cut off` : `its ${packing} stream is broken`, 'Download or pack it again', error);
  }
}

/** Node's decompressor ends with the first frame of a zstd file; programs that pack in parallel write many. */
async function* unpackFrames(path: string): AsyncGenerator<Buffer> {
  const { size } = await stat(path);
  for (let start = 0; start < size;) {
    const skipped = await skippableBytes(path, start);
    if (skipped > 0) {
      start += skipped;
      continue;
    }
    const decoder = createZstdDecompress({ chunkSize: chunkBytes });
    yield* through(path, start, decoder);
    if (decoder.bytesWritten === 0) throw new FileError('its zstd stream is broken', 'Download or pack it again');
    start += decoder.bytesWritten;
  }
}

/** Length of the frame at `start` when it is one without data, else 0. */
async function skippableBytes(path: string, start: number): Promise<number> {
  const handle = await open(path, 'r');
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(8), 0, 8, start);
    return bytesRead === 8 && (buffer.readUInt32LE(0) & 0xfffffff0) >>> 0 === 0x184d2a50 ? 8 + buffer.readUInt32LE(4) : 0;
  } finally {
    await handle.close();
  }
}

async function* through(path: string, start: number, decoder: Duplex): AsyncGenerator<Buffer> {
  const source = createReadStream(path, { start, highWaterMark: chunkBytes });
  // Errors reach whoever reads the decoder; what comes behind the end of its data is not its own.
  pipeline(source, decoder, () => { source.destroy(); });
  yield* decoder as AsyncIterable<Buffer>;
}

const isPackingError = (error: unknown): error is Error & { readonly code: string } =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' && /^(?:Z_|ZSTD_)/.test(error.code);
