import type { Message } from '@sgpo/core';
import { createTeacher, type TeacherAnswer } from '@sgpo/llm';
import { tableSchemas } from '../table-schemas.ts';
import { createCounter, tableResult, type LocalStep } from './local-task.ts';

/** Asks the teacher one question a row. Answers are in the ledger before they are used here, so that nothing is paid twice. */
export const teach: LocalStep<'teach'> = async ({ services, task, signal, progress }, spec) => {
  const teacher = createTeacher({
    options: spec.teacher, ledger: services.database.ledger, environment: services.environment, allowedHosts: services.allowedHosts,
  });
  const requests: { id: string; pos: number; messages: readonly Message[] }[] = [];
  for await (const row of services.tables.scan(spec.requests)) {
    requests.push({ id: row['id'] as string, pos: row['pos'] as number, messages: row['messages'] as readonly Message[] });
  }
  const answers = new Map<string, TeacherAnswer>();
  await teacher.askAll(requests.map(({ id, messages }) => ({ id, messages, sample: 0 })), signal, (id, answer) => {
    answers.set(id, answer);
    progress(answers.size, requests.length);
  });

  const counter = createCounter();
  const published = await services.tables.write(tableSchemas.teach, requests.map(({ id, pos }) => {
    const answer = answers.get(id);
    if (answer === undefined) throw new TypeError(`no answer for row ${id}`);
    counter.count(answer.dropReason);
    return {
      id, pos, text: answer.text, finish_reason: answer.finishReason, prompt_tokens: answer.promptTokens, completion_tokens: answer.completionTokens, drop_reason: answer.dropReason,
    };
  }));
  return tableResult(published, counter.counts(), { stats: { ...teacher.usage() }, meta: { teacher: spec.teacher.model, taskId: task.id } });
};
