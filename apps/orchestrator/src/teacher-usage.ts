import type { TaskRow } from '@sgpo/database';
import type { TeacherUsage } from '@sgpo/llm';

/** What a run paid its teacher: answers of a reused shard were paid by the run that asked for them, and count as reused here. */
export function usageOfTasks(tasks: readonly TaskRow[]): TeacherUsage {
  const usages = tasks.filter((task) => task.role === 'shard' && task.stats !== null).map((task): TeacherUsage => {
    const usage = task.stats as unknown as TeacherUsage;
    return task.state === 'cached' ? { calls: 0, reused: usage.calls + usage.reused, promptTokens: 0, completionTokens: 0, cost: usage.cost === null ? null : 0 } : usage;
  });
  const sum = (pick: (usage: TeacherUsage) => number): number => usages.reduce((total, usage) => total + pick(usage), 0);
  return {
    calls: sum((u) => u.calls), reused: sum((u) => u.reused), promptTokens: sum((u) => u.promptTokens), completionTokens: sum((u) => u.completionTokens),
    cost: usages.some((u) => u.cost === null) ? null : sum((u) => u.cost ?? 0),
  };
}
