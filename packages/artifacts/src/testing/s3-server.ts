import { spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';

/** A real S3 server (SeaweedFS) with one account, in a folder of its own. */
export interface S3Server { readonly client: S3Client; readonly environment: Readonly<Record<string, string>>; stop(): Promise<void> }

const home = process.env['SGPO_HOME'] ?? join(resolve(import.meta.dirname, '../../../..'), '.sgpo');
const account = { accessKey: 'reader', secretKey: 'reader-secret' };

/** Starts it and makes `bucket`; about 5 s. */
export async function startS3(folder: string, bucket: string): Promise<S3Server> {
  const [s3, master, volume, filer] = await freePorts(4);
  const config = join(folder, 's3.json');
  await writeFile(config, JSON.stringify({ identities: [{ name: 'reader', credentials: [account], actions: ['Admin'] }] }));
  const server = spawn(join(home, 'venv/bin/weed'), [
    'server', `-dir=${folder}`, '-ip=127.0.0.1', '-ip.bind=127.0.0.1', '-s3', `-s3.port=${String(s3)}`, `-s3.config=${config}`, `-master.port=${String(master)}`, `-volume.port=${String(volume)}`, `-filer.port=${String(filer)}`,
    '-master.volumeSizeLimitMB=64', '-volume.max=50',
  ], { stdio: ['ignore', 'ignore', 'pipe'], cwd: folder });
  let log = '';
  server.stderr.on('data', (chunk: Buffer) => { log = (log + chunk.toString()).slice(-4000); });
  const exited = new Promise<void>((done) => { server.once('exit', () => { done(); }); });
  const endpoint = `http://127.0.0.1:${String(s3)}`;
  const client = new S3Client({ endpoint, region: 'us-east-1', forcePathStyle: true, credentials: { accessKeyId: account.accessKey, secretAccessKey: account.secretKey }, maxAttempts: 1 });
  const stop = async (): Promise<void> => {
    client.destroy();
    server.kill('SIGKILL');
    await exited;
  };
  for (let attempt = 0; ; attempt += 1) {
    try {
      await client.send(new CreateBucketCommand({ Bucket: bucket }));
      break;
    } catch (error) {
      if (attempt === 120 || server.exitCode !== null) {
        await stop();
        throw new Error(`the S3 server does not start: ${log}`, { cause: error });
      }
      await sleep(250);
    }
  }
  return { client, environment: { AWS_ENDPOINT_URL: endpoint, AWS_ACCESS_KEY_ID: account.accessKey, AWS_SECRET_ACCESS_KEY: account.secretKey, AWS_REGION: 'us-east-1' }, stop };
}

/** Ports that are free together with those 10,000 above, which the server takes for gRPC. */
async function freePorts(count: number): Promise<number[]> {
  const found: number[] = [];
  for (let port = 20_000 + (process.pid % 20_000); found.length < count; port += 1) if (await isFree(port) && await isFree(port + 10_000)) found.push(port);
  return found;
}

function isFree(port: number): Promise<boolean> {
  return new Promise((answer) => {
    const server = createServer().once('error', () => { answer(false); });
    server.listen(port, '127.0.0.1', () => { server.close(() => { answer(true); }); });
  });
}
