import type { TaskRow } from '@sgpo/database';
import type { TeacherUsage } from '@sgpo/llm';

/** What a run paid its teacher: answers of a reused shard were paid by the run that asked for them, and count as reused here. */
export function usageOfTasks(tasks: readonly TaskRow[]): TeacherUsage {
  const usages = tasks.filter((task) => task.role === 'shard' && task.stats !== null).map((task): TeacherUsage => {
    // Shards from before there were batches say nothing of them.
    const usage: TeacherUsage = { batches: 0, ...task.stats as unknown as Omit<TeacherUsage, 'batches'> };
    return task.state === 'cached' ? { calls: 0, reused: usage.calls + usage.reused, batches: 0, promptTokens: 0, completionTokens: 0, cost: usage.cost === null ? null : 0 } : usage;
  });
  const sum = (pick: (usage: TeacherUsage) => number): number => usages.reduce((total, usage) => total + pick(usage), 0);
  return {
    calls: sum((u) => u.calls), reused: sum((u) => u.reused), batches: sum((u) => u.batches), promptTokens: sum((u) => u.promptTokens), completionTokens: sum((u) => u.completionTokens),
    cost: usages.some((u) => u.cost === null) ? null : sum((u) => u.cost ?? 0),
  };
}
