import { describe, expect, it } from 'vitest';
import { isPublicAddress } from './address-rules.ts';
import { createGuardedFetch } from './guarded-fetch.ts';
import { sendJson, startServer } from './testing/fixtures.ts';
import { checkTeacherUrl, type Resolve } from './url-guard.ts';

const to = (...addresses: string[]): Resolve => () => Promise.resolve(addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })));
const refused = (url: string, allowed: readonly string[] = [], resolve: Resolve = to('93.184.215.14')): Promise<unknown> =>
  checkTeacherUrl(url, allowed, resolve).then(() => null, (error: unknown) => error);

describe('isPublicAddress', () => {
  it.each(['8.8.8.8', '93.184.215.14', '172.32.0.1', '100.128.0.1', '2606:4700:4700::1111', '::ffff:8.8.8.8', '64:ff9b::808:808'])('opens %s', (address) => {
    expect(isPublicAddress(address)).toBe(true);
  });
  it.each([
    '0.0.0.0', '10.1.2.3', '100.64.0.1', '100.100.100.200', '127.0.0.1', '127.255.0.1', '169.254.169.254', '172.16.0.1', '172.31.255.255', '192.168.0.1', '192.0.0.192', '168.63.129.16',
    '198.18.0.1', '203.0.113.5', '224.0.0.1', '255.255.255.255', '::', '::1', 'fe80::1', 'fe80::1%eth0', 'fec0::1', 'fc00::1', 'fd00:ec2::254', 'ff02::1', '2001:db8::1', '2001::1', '2002:7f00:1::',
    '::ffff:127.0.0.1', '::ffff:a00:1', '64:ff9b::7f00:1', '64:ff9b:1::1', '100::1', 'not an address', '',
  ])('closes %s', (address) => {
    expect(isPublicAddress(address)).toBe(false);
  });
});

describe('checkTeacherUrl', () => {
  it.each(['https://api.example.com/v1', 'http://api.example.com:8080/v1', 'https://8.8.8.8/v1', 'https://[2606:4700:4700::1111]/v1'])('allows %s', async (url) => {
    expect(await refused(url)).toBeNull();
  });

  it.each([
    ['ftp://api.example.com', 'scheme "ftp"'], ['file:///etc/passwd', 'scheme "file"'], ['not an address', 'is not an address'], ['https://user:secret@api.example.com/v1', 'credentials'],
    ['https://api.example.com/v1?key=secret', 'query'], ['http://127.0.0.1:8000/v1', 'not a public address'], ['http://0x7f.1/v1', 'not a public address'], ['http://2130706433/v1', 'not a public address'],
    ['http://[::1]:8000/v1', 'not a public address'], ['http://[::ffff:169.254.169.254]/', 'not a public address'],
  ])('refuses %s', async (url, words) => {
    const error = await refused(url);
    expect(error).toMatchObject({ code: 'TEACHER.URL_NOT_ALLOWED', problems: [{ field: 'teacher.baseUrl' }] });
    expect(String(error)).toContain(words);
    expect(JSON.stringify(error) + String(error)).not.toContain('secret');
  });

  it('refuses a name that leads to a private address, also when it leads to a public one as well', async () => {
    expect(await refused('https://inside.example.com/v1', [], to('10.0.0.8'))).toMatchObject({ code: 'TEACHER.URL_NOT_ALLOWED', remedy: expect.stringContaining('SGPO_ALLOWED_HOSTS') as string });
    expect(await refused('https://both.example.com/v1', [], to('93.184.215.14', '127.0.0.1'))).toMatchObject({ code: 'TEACHER.URL_NOT_ALLOWED' });
  });

  it('refuses the real name of this machine', async () => {
    await expect(checkTeacherUrl('http://localhost:8000/v1', [])).rejects.toMatchObject({ code: 'TEACHER.URL_NOT_ALLOWED' });
  });

  it.each([
    ['http://127.0.0.1:8000/v1', '127.0.0.1'], ['http://127.0.0.1:8000/v1', '127.0.0.1:8000'], ['http://[::1]:8000/v1', '[::1]:8000'], ['http://[::1]:8000/v1', '::1'], ['http://LocalHost:8000/v1', 'localhost'],
    ['http://teacher.internal/v1', 'Teacher.Internal:80'], ['https://teacher.internal./v1', 'teacher.internal:443'],
  ])('allows %s when the operator lists %s', async (url, entry) => {
    expect(await refused(url, ['elsewhere', entry], to('10.0.0.8'))).toBeNull();
  });

  it('does not take one listed port for another, nor part of a name for the name', async () => {
    expect(await refused('http://127.0.0.1:8001/v1', ['127.0.0.1:8000'])).not.toBeNull();
    expect(await refused('http://a.teacher.internal/v1', ['teacher.internal'], to('10.0.0.8'))).not.toBeNull();
  });

  it('says that a name does not resolve', async () => {
    expect(await refused('https://gone.example.com/v1', [], () => Promise.reject(new Error('ENOTFOUND')))).toMatchObject({ code: 'TEACHER.UNREACHABLE', message: expect.stringContaining('gone.example.com') as string });
  });
});

describe('createGuardedFetch', () => {
  it('checks the address it connects to: a name that has moved since the check is refused', async () => {
    await using server = await startServer((_nth, _received, response) => { sendJson(response, 200, { reached: true }); });
    const url = `http://moving.example.com:${String(server.port)}/v1`;
    let asked = 0;
    const moving: Resolve = (name) => { asked += 1; return to(asked === 1 ? '93.184.215.14' : '127.0.0.1')(name); };
    await checkTeacherUrl(url, [], moving);
    await expect(createGuardedFetch({ allowedHosts: [], resolve: moving })(url)).rejects.toMatchObject({ code: 'TEACHER.URL_NOT_ALLOWED', message: expect.stringContaining('127.0.0.1') as string });
    expect(server.received).toHaveLength(0);
    const response = await createGuardedFetch({ allowedHosts: ['moving.example.com'], resolve: moving })(url);
    expect(await response.json()).toEqual({ reached: true });
    expect(server.received[0]?.headers.host).toBe(`moving.example.com:${String(server.port)}`);
  });

  it('refuses redirects without following them', async () => {
    await using server = await startServer((_nth, _received, response) => { response.writeHead(307, { location: 'http://169.254.169.254/' }).end(); });
    await expect(createGuardedFetch({ allowedHosts: ['127.0.0.1'] })(server.url)).rejects.toMatchObject({ code: 'TEACHER.URL_NOT_ALLOWED', message: expect.stringContaining('redirect') as string });
    expect(server.received).toHaveLength(1);
  });

  it('stops reading a body without end', async () => {
    await using server = await startServer((_nth, _received, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      const block = Buffer.alloc(1024 * 1024, 0x20);
      const more = (): void => { while (!response.destroyed && response.write(block)); };
      response.on('drain', more);
      more();
    });
    await expect(createGuardedFetch({ allowedHosts: ['127.0.0.1'] })(server.url)).rejects.toThrow('larger than');
  });

  it('ends a request when its signal aborts, also in the middle of a body', async () => {
    await using server = await startServer((_nth, _received, response) => { response.writeHead(200).write('{'); });
    const startedAt = Date.now();
    await expect(createGuardedFetch({ allowedHosts: ['127.0.0.1'] })(server.url, { signal: AbortSignal.timeout(100) })).rejects.toThrow();
    expect(Date.now() - startedAt).toBeLessThan(3000);
  });
});
