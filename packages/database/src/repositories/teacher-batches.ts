import type { Client } from '../client.ts';
import { createId } from '../ids.ts';
import { toTeacherBatchRow } from '../mappers.ts';
import type { TeacherBatchRepository } from '../repositories.ts';

export function createTeacherBatchRepository(client: Client): TeacherBatchRepository {
  return {
    async open(key) {
      const rows = await client.teacherBatch.findMany({ where: { key, state: 'open' }, orderBy: { id: 'asc' } });
      return rows.map(toTeacherBatchRow);
    },

    async begin({ key, runId, requests }) {
      const id = createId('batch');
      await client.teacherBatch.create({ data: { id, key, runId, state: 'open', requests } });
      return id;
    },

    async submitted(id, { batchId, inputFileId }) {
      const { count } = await client.teacherBatch.updateMany({ where: { id, state: 'open' }, data: { batchId, inputFileId } });
      if (count === 0) throw new TypeError(`batch ${id} is not open: provider batch ${batchId} would be lost`);
    },

    async close(id, state) {
      await client.teacherBatch.updateMany({ where: { id, state: 'open' }, data: { state } });
    },
  };
}
