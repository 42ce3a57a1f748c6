import type { AttemptId, Digest, RunId, TaskId } from '@sgpo/core';
import type { Client } from '../client.ts';
import type { Prisma } from '../generated/client.ts';
import { toArtifactRecord } from '../mappers.ts';
import type { ArtifactRepository, LineageLink } from '../repositories.ts';

export function createArtifactRepository(client: Client): ArtifactRepository {
  return {
    async get(digest, teamId) {
      const row = await client.artifact.findUnique({ where: { digest } });
      if (row === null || (teamId !== undefined && !await isVisible(client, digest, teamId))) return null;
      return toArtifactRecord(row);
    },

    async lineageOfRun(runId) {
      const reused = await client.task.findMany({ where: { runId, reuses: { not: null } }, select: { reuses: true } });
      const taskIds = reused.flatMap((task) => task.reuses ?? []);
      const rows = await client.artifactLink.findMany({
        where: { attempt: { OR: [{ runId }, { taskId: { in: taskIds }, state: 'succeeded' }] } }, include: linkParts,
        orderBy: [{ attempt: { createdAt: 'asc' } }, { attemptId: 'asc' }, { direction: 'asc' }, { role: 'asc' }, { digest: 'asc' }],
      });
      return rows.map(toLineageLink);
    },
  };
}

/** A team sees what a run of its own made, read, or took over from an equal task. */
async function isVisible(client: Client, digest: string, teamId: string): Promise<boolean> {
  const link = await client.artifactLink.findFirst({ where: { digest, attempt: { task: { step: { run: { teamId } } } } }, select: { digest: true } });
  if (link !== null) return true;
  return await client.task.findFirst({ where: { output: digest, step: { run: { teamId } } }, select: { id: true } }) !== null;
}

const linkParts = {
  artifact: { select: { kind: true } },
  attempt: { select: { runId: true, taskId: true, task: { select: { step: { select: { key: true } } } } } },
} as const satisfies Prisma.ArtifactLinkInclude;

const toLineageLink = (row: Prisma.ArtifactLinkGetPayload<{ include: typeof linkParts }>): LineageLink => ({
  direction: row.direction === 'in' ? 'in' : 'out', role: row.role, digest: row.digest as Digest, kind: row.artifact.kind,
  stepKey: row.attempt.task.step.key, taskId: row.attempt.taskId as TaskId, attemptId: row.attemptId as AttemptId, runId: row.attempt.runId as RunId,
});
