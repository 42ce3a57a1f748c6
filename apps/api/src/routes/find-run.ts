import { SgpoError } from '@sgpo/core';
import type { RunId } from '@sgpo/core';
import type { Database, RunRow, RunTree } from '@sgpo/database';
import type { FastifyRequest } from 'fastify';
import { teamOf } from '../auth.ts';

/** The run of the caller's team, or RUN.NOT_FOUND: a run of another team is not told apart from none. */
export async function findRun(database: Database, request: FastifyRequest, id: string): Promise<RunRow> {
  return await database.runs.get(id as RunId, teamOf(request)) ?? refuse(id);
}

/** The same with steps and tasks. */
export async function findTree(database: Database, request: FastifyRequest, id: string): Promise<RunTree> {
  return await database.runs.tree(id as RunId, teamOf(request)) ?? refuse(id);
}

function refuse(id: string): never {
  throw new SgpoError('RUN.NOT_FOUND', `There is no run ${id}`, { remedy: 'List the runs with GET /v1/runs' });
}
