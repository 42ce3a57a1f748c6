import { databaseNow, type Client } from '../client.ts';
import { toJson } from '../json.ts';
import { toWorkerRow } from '../mappers.ts';
import type { WorkerRepository } from '../repositories.ts';

export function createWorkerRepository(client: Client): WorkerRepository {
  return {
    async seen({ id, devices, versions, ...worker }) {
      const row = { ...worker, devices: toJson(devices), versions: toJson(versions), lastSeenAt: await databaseNow(client) };
      await client.worker.upsert({ where: { id }, create: { id, ...row }, update: row });
    },

    async get(id) {
      const row = await client.worker.findUnique({ where: { id } });
      return row === null ? null : toWorkerRow(row);
    },

    async list() {
      return (await client.worker.findMany({ orderBy: { id: 'asc' } })).map(toWorkerRow);
    },
  };
}
