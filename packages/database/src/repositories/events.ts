import type { Client } from '../client.ts';
import { toEventRow } from '../mappers.ts';
import type { EventRepository } from '../repositories.ts';

export function createEventRepository(client: Client): EventRepository {
  return {
    async after(runId, sequence, limit) {
      const rows = await client.event.findMany({ where: { runId, sequence: { gt: sequence } }, orderBy: { sequence: 'asc' }, take: limit });
      return rows.map(toEventRow);
    },
  };
}
