import type { Client, Transaction } from '../client.ts';
import { requireSameBody } from '../idempotency.ts';
import { createId } from '../ids.ts';
import { toJson } from '../json.ts';
import { toRunRow, toStudyRow } from '../mappers.ts';
import type { StudyRepository, StudyRow } from '../repositories.ts';
import { insertRun } from '../run-rows.ts';

type NewStudy = Parameters<StudyRepository['create']>[0];

export function createStudyRepository(client: Client): StudyRepository {
  return {
    create: (input) => client.$transaction((tx) => createStudy(tx, input)),

    async get(id, teamId) {
      const row = await client.study.findFirst({ where: { id, teamId } });
      return row === null ? null : toStudyRow(row);
    },

    async list({ teamId, limit, before }) {
      const rows = await client.study.findMany({ where: { teamId, ...(before === null ? {} : { id: { lt: before } }) }, orderBy: { id: 'desc' }, take: limit });
      return rows.map(toStudyRow);
    },

    async runsOf(id) {
      return (await client.run.findMany({ where: { studyId: id }, orderBy: { id: 'asc' } })).map(toRunRow);
    },
  };
}

async function createStudy(tx: Transaction, { teamId, name, request, idempotencyKey, bodyHash, runs }: NewStudy): Promise<{ study: StudyRow; created: boolean }> {
  const id = createId('study');
  // The unique key decides between equal calls, as with runs.
  const { count } = await tx.study.createMany({ data: [{ id, teamId, name, request: toJson(request), idempotencyKey, bodyHash }], skipDuplicates: idempotencyKey !== null });
  const row = await tx.study.findFirstOrThrow({ where: count === 0 ? { teamId, idempotencyKey } : { id } });
  if (count === 0) requireSameBody(idempotencyKey, bodyHash, { kind: 'study', id: row.id, bodyHash: row.bodyHash });
  else for (const { spec, plan, entry } of runs) await insertRun(tx, { teamId, spec, plan, idempotencyKey: null, bodyHash: null }, { id, entry });
  return { study: toStudyRow(row), created: count > 0 };
}
