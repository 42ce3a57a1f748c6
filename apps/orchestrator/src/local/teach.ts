import type { EndpointTeacher, Message } from '@sgpo/core';
import { createTeacher, type Teacher, type TeacherAnswer, type TeacherRequest } from '@sgpo/llm';
import { tableSchemas } from '../table-schemas.ts';
import { createCounter, tableResult, type LocalContext, type LocalStep, type StopReason } from './local-task.ts';

/**
 * Asks the teacher one question a row, by calls or in batches. Answers are in the ledger before they are used here, so that nothing is paid twice; they are
 * read back from there in the order of the rows, so that neither the questions nor the answers of a large shard are held in memory.
 */
export const teach: LocalStep<'teach'> = async (context, spec) => {
  const { services, task, signal, progress } = context;
  const teacher = createTeacherOf(context, spec.teacher);
  const total = await services.tables.count(spec.requests);

  async function* requests(): AsyncGenerator<TeacherRequest & { readonly pos: number }> {
    for await (const row of services.tables.scan(spec.requests)) {
      yield { id: row['id'] as string, pos: row['pos'] as number, messages: row['messages'] as readonly Message[], sample: 0 };
    }
  }
  /** Rows that have no answer, and so no entry in the ledger. */
  const unanswered = new Map<string, TeacherAnswer>();
  await teacher.askAll(requests, signal, (id, answer) => {
    if (answer.dropReason === 'teacher_rejected' || answer.dropReason === 'teacher_failed') unanswered.set(id, answer);
  }, (done) => { progress(done, total); });

  const counter = createCounter();
  async function* answers() {
    for await (const { request, answer: recorded } of teacher.recorded(requests())) {
      signal.throwIfAborted();
      const answer = recorded ?? unanswered.get(request.id);
      if (answer === undefined) throw new TypeError(`no answer for row ${request.id}`);
      counter.count(answer.dropReason);
      yield {
        id: request.id, pos: request.pos, text: answer.text, finish_reason: answer.finishReason, prompt_tokens: answer.promptTokens, completion_tokens: answer.completionTokens,
        drop_reason: answer.dropReason,
      };
    }
  }
  const published = await services.tables.write(tableSchemas.teach, answers());
  return tableResult(published, counter.counts(), { stats: { ...teacher.usage() }, meta: { teacher: spec.teacher.model, taskId: task.id } });
};

/** A teacher whose answers are charged to the run, and whose batches are found again by whoever takes the task up after this process. */
function createTeacherOf({ services, task: { id: taskId, runId } }: LocalContext, options: EndpointTeacher): Teacher {
  const { database: { ledger, batches }, limits, budgets, environment, allowedHosts, log } = services;
  return createTeacher({
    options, limits, environment, allowedHosts, budget: budgets.gateOf(runId, options),
    ledger: { find: (keys) => ledger.find(keys), record: (key, model, answer) => ledger.record(key, model, answer, runId) },
    batches: { open: (key) => batches.open(key), begin: (input) => batches.begin({ ...input, runId }), submitted: (id, ids) => batches.submitted(id, ids), close: (id, state) => batches.close(id, state) },
    isCanceled: (reason) => reason === ('canceled' satisfies StopReason),
    onWait: (wait) => { log.info({ runId, taskId, ...wait }, 'teacher waits'); },
    onBatch: (note) => { log.info({ runId, taskId, ...note }, 'batch of the teacher'); },
  });
}
