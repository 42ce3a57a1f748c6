import { parseRunSpec, routes } from '@sgpo/contracts';
import { compileRun, estimateRun, showPrompts } from '@sgpo/core';
import type { FastifyInstance } from 'fastify';
import { teamOf } from '../auth.ts';
import type { SignalOf } from '../caller-signal.ts';
import type { Dependencies } from '../dependencies.ts';
import { addRoute } from '../route.ts';
import { readSets } from '../sources/read-sets.ts';
import { createSourceResolver } from '../sources/resolve-sources.ts';
import { toWire } from '../wire.ts';

/** What a run would be, told from its data sets alone. */
export function addEstimateRoutes(app: FastifyInstance, dependencies: Dependencies, signalOf: SignalOf): void {
  addRoute(app, 'estimateRun', routes.estimateRun, async (_, request, reply) => {
    const [teamId, signal] = [teamOf(request), signalOf(reply)];
    const spec = await createSourceResolver(dependencies, teamId, signal).resolve(parseRunSpec(request.body));
    const plan = compileRun(spec);
    const sets = await readSets(plan, dependencies, { teamId, signal });
    const estimate = estimateRun({ spec, plan, sets: Object.fromEntries(sets.map(({ space, size }) => [space, size])), rates: await dependencies.database.rates.recent() });
    const empty = sets.filter(({ size }) => size.rows === 0).map(({ space }) => `data.${space} has no usable row: the run would fail when it reads it.`);
    return toWire({
      ...estimate, sets: sets.map(({ report }) => report), prompts: showPrompts(plan, Object.fromEntries(sets.map(({ space, head }) => [space, head]))),
      assumptions: [...empty, ...estimate.assumptions],
    });
  });
}
