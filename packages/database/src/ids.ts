import { idPrefixes, type AttemptId, type DatasetId, type RunId, type StepId, type StudyId, type TaskId, type TeamId, type TokenId } from '@sgpo/core';
import { monotonicFactory } from 'ulid';

interface IdsByEntity {
  readonly run: RunId; readonly step: StepId; readonly task: TaskId; readonly attempt: AttemptId; readonly team: TeamId; readonly token: TokenId;
  readonly study: StudyId; readonly dataset: DatasetId; readonly batch: string;
}

/** Ids of one process rise even within a millisecond, so that sorting by id is sorting by age. */
const nextUlid = monotonicFactory();

/** A new id: the entity's prefix, `_`, and a ULID. */
export function createId<Entity extends keyof typeof idPrefixes>(entity: Entity): IdsByEntity[Entity] {
  return `${idPrefixes[entity]}_${nextUlid()}` as IdsByEntity[Entity];
}
