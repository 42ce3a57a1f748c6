import { createFolderStore } from '@sgpo/artifacts';
import { createDatabase } from '@sgpo/database';
import { buildApp } from './app.ts';
import { ConfigError, readConfig } from './config.ts';

/** After this, what is still open is cut: a download must not keep the process. */
const stopMs = 10_000;

async function main(): Promise<void> {
  const config = readConfig(process.env);
  const database = createDatabase({ url: config.databaseUrl });
  const store = createFolderStore({ root: config.store });
  const app = await buildApp({
    database, store, dataRoots: config.dataRoots, allowedHosts: config.allowedHosts, environment: process.env, cacheFolder: config.cacheFolder, eventPollMs: 500,
  }, config);

  let stopping = false;
  const stop = async (reason: string): Promise<void> => {
    if (stopping) return;
    stopping = true;
    app.log.info({ reason }, 'stopping');
    setTimeout(() => { process.exit(1); }, stopMs).unref();
    await app.close();
    await database.close();
    process.exit(0);
  };
  const leave = (reason: string): void => {
    stop(reason).catch((error: unknown) => {
      app.log.error({ err: error }, 'stopping failed');
      process.exit(1);
    });
  };
  process.on('SIGTERM', leave);
  process.on('SIGINT', leave);
  // A parent that started us with an ipc channel takes us along when it dies.
  process.on('disconnect', () => { leave('parent gone'); });

  await app.listen(config.listen);
}

main().catch((error: unknown) => {
  process.stderr.write(error instanceof ConfigError ? `${error.message}\n` : `The API cannot start: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(error instanceof ConfigError ? 2 : 1);
});
