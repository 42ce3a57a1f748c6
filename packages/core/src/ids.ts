/** Branded ids: a run id is never passed where a task id belongs. */
declare const brand: unique symbol;
type Branded<Name extends string> = string & { readonly [brand]: Name };

export type RunId = Branded<'run'>;
export type StepId = Branded<'step'>;
export type TaskId = Branded<'task'>;
export type AttemptId = Branded<'attempt'>;
export type TeamId = Branded<'team'>;
export type TokenId = Branded<'token'>;
export type WorkerId = Branded<'worker'>;
export type StudyId = Branded<'study'>;
export type DatasetId = Branded<'dataset'>;
/** sha256 (hex) of an artifact's manifest. */
export type Digest = Branded<'digest'>;

export const idPrefixes = { run: 'run', step: 'stp', task: 'tsk', attempt: 'att', team: 'team', token: 'tok', study: 'stu', dataset: 'dst', batch: 'bat' } as const;

/** True for 64 lower-case hex digits. */
export const isDigest = (text: string): text is Digest => /^[0-9a-f]{64}$/.test(text);
