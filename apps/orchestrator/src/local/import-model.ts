import { describeModelFolder, type ModelFolder } from '@sgpo/artifacts';
import { isDigest, SgpoError } from '@sgpo/core';
import type { ArtifactRecord, TaskResult } from '@sgpo/database';
import type { LocalContext, LocalStep } from './local-task.ts';

/** Makes an artifact of a model folder: the weights and texts it needs, never pickles. A model that is an artifact of the team already is checked and handed on. */
export const importModel: LocalStep<'import-model'> = async (context, { parameters: { model, needsChatTemplate }, field }) => {
  const { services } = context;
  if (model.artifact !== null) return handOn(context, { digest: model.artifact, field: `${field}.artifact`, needsChatTemplate });
  if (model.path === null) throw new TypeError(`${field} has neither a path nor an artifact: the service fills the artifact in`);
  const described = await describeModelFolder(model.path, { roots: services.dataRoots, field: `${field}.path`, requireChatTemplate: needsChatTemplate });
  const published = await services.store.importFolder(described.path, (path) => described.files.includes(path));
  return resultOf({ ...published, kind: 'model', rows: null, meta: { architecture: described.architecture, source: model.path } }, described);
};

async function handOn({ services, task }: LocalContext, { digest, field, needsChatTemplate }: { readonly digest: string; readonly field: string; readonly needsChatTemplate: boolean }): Promise<TaskResult> {
  const record = await recordOf();
  if (!await services.store.verify(record.digest)) {
    throw new SgpoError('ARTIFACT.MISSING_FILES', `${field}: files of the model ${digest} are gone from the store`, {
      remedy: 'Put the files back, or name another model', problems: [{ field, value: digest, message: 'its files are gone from the store', fix: 'name another model' }],
    });
  }
  const folder = services.store.path(record.digest);
  return resultOf(record, await describeModelFolder(folder, { roots: [folder], field, requireChatTemplate: needsChatTemplate }));

  /** The record, if the team of the run may see it. */
  async function recordOf(): Promise<ArtifactRecord> {
    const run = await services.database.runs.get(task.runId);
    if (run === null) throw new TypeError(`no run ${task.runId}`);
    const found: ArtifactRecord | null = isDigest(digest) ? await services.database.artifacts.get(digest, run.teamId) : null;
    if (found !== null && found.kind === 'model') return found;
    const message = found === null ? 'no run of the team made or used an artifact with this digest' : `the artifact is a ${found.kind}`;
    throw new SgpoError('ARTIFACT.NOT_FOUND', `${field}: ${digest}: ${message}`, {
      remedy: 'Name the digest of a model that a run of yours made', problems: [{ field, value: digest, message, fix: 'name the digest of a model that a run of yours made' }],
    });
  }
}

const resultOf = (output: Omit<ArtifactRecord, 'createdAt'>, { architecture }: ModelFolder): TaskResult =>
  ({ output, rowsIn: 0, rowsOut: 0, dropped: {}, stats: { architecture }, provenance: {}, peakRssBytes: null });
