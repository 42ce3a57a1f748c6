import { SgpoError, type DatasetId } from '@sgpo/core';
import { databaseNow, type Client, type Transaction } from '../client.ts';
import type { Prisma } from '../generated/client.ts';
import { createId } from '../ids.ts';
import { toJson } from '../json.ts';
import { toDatasetRow } from '../mappers.ts';
import { addJobs } from '../outbox-rows.ts';
import type { DatasetRepository, DatasetRow } from '../repositories.ts';
import { requireBalance } from '../row-balance.ts';

type NewDataset = Parameters<DatasetRepository['create']>[0];

export function createDatasetRepository(client: Client): DatasetRepository {
  return {
    create: (input) => client.$transaction((tx) => createDataset(tx, input)),

    async get(id) {
      const row = await client.dataset.findUnique({ where: { id } });
      return row === null ? null : toDatasetRow(row);
    },

    async find(teamId, name) {
      const row = await client.dataset.findUnique({ where: { teamId_name: { teamId, name } } });
      return row === null ? null : toDatasetRow(row);
    },

    async list({ teamId, limit, before }) {
      const rows = await client.dataset.findMany({ where: { teamId, ...(before === null ? {} : { id: { lt: before } }) }, orderBy: { id: 'desc' }, take: limit });
      return rows.map(toDatasetRow);
    },

    async finish(id, { schema, counts, sha256, preview }) {
      requireBalance(counts);
      return endRegistration(client, id, { state: 'ready', schema: toJson(schema), counts: toJson(counts), sha256, preview: toJson(preview) });
    },

    fail: (id, failure) => endRegistration(client, id, { state: 'failed', failure: toJson(failure) }),

    async unfinished() {
      const rows = await client.dataset.findMany({ where: { state: 'registering' }, orderBy: { id: 'asc' }, select: { id: true } });
      return rows.map((row) => row.id as DatasetId);
    },
  };
}

async function createDataset(tx: Transaction, { teamId, name, space, source, license }: NewDataset): Promise<DatasetRow> {
  const id = createId('dataset');
  const now = await databaseNow(tx);
  await tx.dataset.deleteMany({ where: { teamId, name, state: 'failed' } });
  // The unique name decides between calls at once: the second waits here until the first has committed.
  const { count } = await tx.dataset.createMany({
    data: [{ id, teamId, name, state: 'registering', space, source: toJson(source), license, createdAt: now, updatedAt: now }], skipDuplicates: true,
  });
  if (count === 0) throw nameTaken(name);
  await addJobs(tx, [{ queue: 'register', payload: { datasetId: id }, dueAt: now }]);
  return toDatasetRow(await tx.dataset.findUniqueOrThrow({ where: { id } }));
}

function nameTaken(name: string): SgpoError {
  const fix = 'Choose another name; only one that could not be registered is replaced';
  return new SgpoError('DATASET.NAME_TAKEN', `A data set named ${JSON.stringify(name)} is registered already`, {
    remedy: fix, problems: [{ field: 'name', value: name, message: 'names a data set that is registered already', fix }],
  });
}

async function endRegistration(client: Client, id: DatasetId, data: Prisma.DatasetUpdateManyMutationInput): Promise<boolean> {
  const { count } = await client.dataset.updateMany({ where: { id, state: 'registering' }, data: { ...data, updatedAt: await databaseNow(client) } });
  return count > 0;
}
