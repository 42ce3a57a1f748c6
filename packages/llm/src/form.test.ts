import { openAsBlob } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { encodeForm } from './form.ts';

it('is read back as it was, with the length that was told', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sgpo-form-'));
  try {
    const bytes = new Uint8Array([0, 13, 10, 45, 45, 255, 128, 10]);
    await writeFile(join(folder, 'file'), bytes);
    const form = new FormData();
    form.set('purpose', 'batch \u2208 \ud83d\ude00');
    form.set('file', new File([await openAsBlob(join(folder, 'file'))], 'a "quoted"\r\nname.jsonl', { type: 'application/jsonl' }));
    const { content, contentType } = encodeForm(form);
    const sent = await content.arrayBuffer();
    expect(sent.byteLength).toBe(content.size);
    const read = await new Response(sent, { headers: { 'content-type': contentType } }).formData();
    expect(read.get('purpose')).toBe('batch \u2208 \ud83d\ude00');
    const file = read.get('file') as File;
    expect([file.name, file.type]).toEqual(['a "quoted"\r\nname.jsonl', 'application/jsonl']);
    expect(new Uint8Array(await file.arrayBuffer())).toEqual(bytes);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
