import { parseBody, parseRunSpec, resumeBodySchema, routes } from '@sgpo/contracts';
import { compileRun, costOfTeacher, priceOf, SgpoError } from '@sgpo/core';
import type { Budget, RunId, RunSpec } from '@sgpo/core';
import type { RunRow, Spent } from '@sgpo/database';
import type { FastifyInstance } from 'fastify';
import { teamOf } from '../auth.ts';
import { hashBody } from '../body-hash.ts';
import type { SignalOf } from '../caller-signal.ts';
import { pageOf, readCursor } from '../cursor.ts';
import type { Dependencies } from '../dependencies.ts';
import { toRun, toRunDetail } from '../mappers.ts';
import { addRoute } from '../route.ts';
import { fieldError } from '../sources/field-error.ts';
import { createSourceResolver } from '../sources/resolve-sources.ts';
import { findRun, findTree } from './find-run.ts';

/** Starting, listing, showing, canceling and resuming runs. */
export function addRunRoutes(app: FastifyInstance, dependencies: Dependencies, signalOf: SignalOf): void {
  const { database } = dependencies;

  addRoute(app, 'createRun', routes.createRun, async ({ headers }, request, reply) => {
    const spec = await createSourceResolver(dependencies, teamOf(request), signalOf(reply)).resolve(parseRunSpec(request.body));
    const idempotencyKey = headers['idempotency-key'] ?? null;
    const { run, created } = await database.runs.create({
      // The body as it was sent, in canonical form: a default that changes with a release does not turn a repeated call into another one.
      teamId: teamOf(request), spec, plan: compileRun(spec), idempotencyKey, bodyHash: idempotencyKey === null ? null : hashBody(request.body),
    });
    request.log.info({ runId: run.id, preset: run.preset, created }, 'run requested');
    void reply.code(created ? 201 : 200).header('location', `/v1/runs/${run.id}`);
    return toRun(run);
  });

  addRoute(app, 'listRuns', routes.listRuns, async ({ query }, request) => {
    // One row more than asked for tells whether there is a next page.
    const rows = await database.runs.list({
      teamId: teamOf(request), limit: query.limit + 1, before: query.cursor === undefined ? null : readCursor<RunId>(query.cursor), state: query.state ?? null,
    });
    const { page, next } = pageOf(rows, query.limit);
    return { runs: page.map(toRun), next };
  });

  addRoute(app, 'getRun', routes.getRun, async ({ params }, request) => {
    const tree = await findTree(database, request, params.id);
    return toRunDetail(tree, await database.ledger.spent(tree.run.id));
  });

  addRoute(app, 'cancelRun', routes.cancelRun, async ({ params }, request, reply) => {
    const { id } = await findRun(database, request, params.id);
    await database.runs.requestCancel(id);
    const run = await findRun(database, request, id);
    if (run.state !== 'canceling' && run.state !== 'canceled') {
      throw new SgpoError('RUN.FINISHED', `Run ${id} has already ended: it ${run.state}`, { remedy: 'Nothing is left to cancel' });
    }
    void reply.code(202);
    return toRun(run);
  });

  addRoute(app, 'resumeRun', routes.resumeRun, async ({ params }, request, reply) => {
    // A run may be resumed as it is, without any body.
    const { budget: changes = {} } = parseBody(resumeBodySchema, request.body ?? {}, { root: 'body' });
    const run = await findRun(database, request, params.id);
    if (run.state !== 'paused') throw notPaused(run);
    const { tokens = run.budget.tokens, cost = run.budget.cost } = changes;
    const budget: Budget = { tokens, cost };
    checkBudget(run.spec, budget, await database.ledger.spent(run.id));
    if (!await database.runs.resume(run.id, budget)) throw notPaused(await findRun(database, request, run.id));
    request.log.info({ runId: run.id, budget }, 'run resumed');
    void reply.code(202);
    return toRun(await findRun(database, request, run.id));
  });
}

const notPaused = ({ id, state }: RunRow): SgpoError => new SgpoError('RUN.NOT_PAUSED', `Run ${id} is not paused: it is ${state}`, { remedy: 'Only a paused run can be resumed' });

/** Throws RUN.BUDGET_SPENT when the run would pause again at once. */
function checkBudget({ teacher }: Pick<RunSpec, 'teacher'>, budget: Budget, spent: Spent): void {
  if (budget.cost !== null && teacher !== null && priceOf(teacher) === null) {
    throw fieldError('REQUEST.INVALID', { field: 'budget.cost', value: budget.cost, message: 'budget.cost needs a price, and the run was launched without one', fix: 'Give budget.tokens instead' });
  }
  const tokens = spent.promptTokens + spent.completionTokens;
  if (budget.tokens !== null && tokens >= budget.tokens) throw spentAlready('budget.tokens', budget.tokens, tokens);
  const cost = costOfTeacher(teacher, spent);
  if (budget.cost !== null && cost !== null && cost >= budget.cost) throw spentAlready('budget.cost', budget.cost, cost);
}

const spentAlready = (field: string, limit: number, spent: number): SgpoError =>
  fieldError('RUN.BUDGET_SPENT', { field, value: limit, message: `${field} is ${String(limit)}, and the run was charged ${String(spent)} already`, fix: `Give ${field} above ${String(spent)}, or null for no limit` });
