import { randomUUID } from 'node:crypto';

/**
 * A form as multipart/form-data (RFC 7578). Its files stay where they are: a blob over a file on the disk is read as it is sent, so that
 * a file of any size needs no memory, and the length is known before.
 */
export function encodeForm(form: FormData): { readonly content: Blob; readonly contentType: string } {
  const boundary = `sgpo-${randomUUID()}`;
  const parts: (string | Blob)[] = [];
  for (const [name, value] of form) {
    parts.push(`--${boundary}\r\ncontent-disposition: form-data; name="${quote(name)}"`);
    if (typeof value === 'string') parts.push(`\r\n\r\n${value}`);
    else parts.push(`; filename="${quote(value.name)}"\r\ncontent-type: ${value.type === '' ? 'application/octet-stream' : value.type}\r\n\r\n`, value);
    parts.push('\r\n');
  }
  parts.push(`--${boundary}--\r\n`);
  return { content: new Blob(parts), contentType: `multipart/form-data; boundary=${boundary}` };
}

const quote = (text: string): string => text.replace(/["\r\n]/g, (character) => encodeURIComponent(character));
