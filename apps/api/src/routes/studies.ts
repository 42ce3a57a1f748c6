import { text } from 'node:stream/consumers';
import { expandStudy, routes } from '@sgpo/contracts';
import { buildStudyReport, compileRun, renderStudyReport, SgpoError } from '@sgpo/core';
import type { Report, StudyId, StudyReport } from '@sgpo/core';
import type { RunRow, StudyRow } from '@sgpo/database';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { prefers } from '../accept.ts';
import { teamOf } from '../auth.ts';
import { hashBody } from '../body-hash.ts';
import type { SignalOf } from '../caller-signal.ts';
import { pageOf, readCursor } from '../cursor.ts';
import type { Dependencies } from '../dependencies.ts';
import { toStudy } from '../mappers.ts';
import { addRoute } from '../route.ts';
import { createSourceResolver } from '../sources/resolve-sources.ts';

/** Studies: several runs that are launched together and compared. */
export function addStudyRoutes(app: FastifyInstance, dependencies: Dependencies, signalOf: SignalOf): void {
  const { database, store } = dependencies;

  addRoute(app, 'createStudy', routes.createStudy, async ({ headers }, request, reply) => {
    const teamId = teamOf(request);
    const { name, runs: wanted } = expandStudy(request.body);
    const resolver = createSourceResolver(dependencies, teamId, signalOf(reply));
    const runs = [];
    for (const { entry, spec: sent } of wanted) {
      const spec = await resolver.resolve(sent);
      runs.push({ entry, spec, plan: compileRun(spec) });
    }
    const idempotencyKey = headers['idempotency-key'] ?? null;
    const { study, created } = await database.studies.create({
      // Not the body: parts of the base that no run reads were never checked, and might hold a key.
      teamId, name, request: { name, runs: runs.map(({ entry }) => entry) }, runs, idempotencyKey, bodyHash: idempotencyKey === null ? null : hashBody(request.body),
    });
    request.log.info({ studyId: study.id, runs: runs.length, created }, 'study requested');
    void reply.code(created ? 201 : 200).header('location', `/v1/studies/${study.id}`);
    return toStudy(study, await database.studies.runsOf(study.id));
  });

  addRoute(app, 'listStudies', routes.listStudies, async ({ query }, request) => {
    const rows = await database.studies.list({ teamId: teamOf(request), limit: query.limit + 1, before: query.cursor === undefined ? null : readCursor<StudyId>(query.cursor) });
    const { page, next } = pageOf(rows, query.limit);
    return { studies: page.map(({ id, name, createdAt }) => ({ id, name, createdAt: createdAt.toISOString() })), next };
  });

  addRoute(app, 'getStudy', routes.getStudy, async ({ params }, request) => {
    const study = await findStudy(request, params.id);
    return toStudy(study, await database.studies.runsOf(study.id));
  });

  addRoute(app, 'studyReport', routes.studyReport, async ({ params }, request, reply) => {
    const report = await reportOf(await findStudy(request, params.id));
    const asMarkdown = prefers(request.headers.accept, 'text/markdown', ['application/json']);
    void reply.header('vary', 'accept');
    return asMarkdown ? reply.type('text/markdown; charset=utf-8').send(renderStudyReport(report)) : reply.send(report);
  });

  async function findStudy(request: FastifyRequest, id: string): Promise<StudyRow> {
    const study = await database.studies.get(id as StudyId, teamOf(request));
    if (study === null) throw new SgpoError('STUDY.NOT_FOUND', `There is no study ${id}`, { remedy: 'List the studies with GET /v1/studies' });
    return study;
  }

  async function reportOf(study: StudyRow): Promise<StudyReport> {
    const runs = [];
    for (const run of await database.studies.runsOf(study.id)) {
      if (run.studyEntry === null) continue;
      runs.push({ entry: run.studyEntry, state: run.state, runId: run.id, report: await readReport(run) });
    }
    return buildStudyReport({ study: { id: study.id, name: study.name }, runs });
  }

  /** null: the run has not succeeded, and its numbers would not compare. */
  async function readReport(run: RunRow): Promise<Report | null> {
    if (run.state !== 'succeeded') return null;
    const output = (await database.runs.tree(run.id))?.steps.find(({ kind }) => kind === 'report')?.output ?? null;
    if (output === null) return null;
    const { stream } = await store.openFile(output, 'report.json');
    // Our own file, whose bytes the store has checked.
    return JSON.parse(await text(stream)) as Report;
  }
}
