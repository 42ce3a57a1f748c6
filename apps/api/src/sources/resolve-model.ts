import { describeModelFolder } from '@sgpo/artifacts';
import { compileRun, SgpoError } from '@sgpo/core';
import type { Digest, ModelSource, PlannedModel, RunId, TeamId } from '@sgpo/core';
import type { Database, RunTree } from '@sgpo/database';
import { fieldError } from './field-error.ts';

interface Place { readonly database: Database; readonly dataRoots: readonly string[]; readonly teamId: TeamId }
interface Wanted { readonly field: string; readonly source: ModelSource; readonly requireChatTemplate: boolean }

/**
 * Looks at the weights a spec names; for a model of a finished run, `artifact` is filled in beside `from`. Throws MODEL.* for a folder,
 * ARTIFACT.NOT_FOUND for an artifact that is no model of the team, RUN.NOT_FOUND, RUN.NOT_SUCCEEDED or RUN.NO_SUCH_MODEL for a run, and SPEC.CONFLICT when
 * artifact and run do not agree.
 */
export async function resolveModel({ database, dataRoots, teamId }: Place, { field, source, requireChatTemplate }: Wanted): Promise<ModelSource> {
  if (source.path !== null) {
    await describeModelFolder(source.path, { roots: dataRoots, field: `${field}.path`, requireChatTemplate });
    return source;
  }
  const digest = source.from === null ? source.artifact : await modelOfRun({ database, teamId }, field, source.from);
  if (digest === null) throw new TypeError(`${field} names no weights: specs are checked before they are resolved`);
  if (source.artifact !== null && source.artifact !== digest) {
    throw fieldError('SPEC.CONFLICT', {
      field: `${field}.artifact`, value: source.artifact, message: `${field}.artifact is not the model that ${field}.from names, which is ${digest}`, fix: `Remove ${field}.artifact, or ${field}.from`,
    });
  }
  const record = await database.artifacts.get(digest as Digest, teamId);
  if (record?.kind !== 'model') {
    const message = record === null ? `There is no artifact ${digest}` : `The artifact ${digest} is a ${record.kind}, not a model`;
    throw fieldError('ARTIFACT.NOT_FOUND', { field: `${field}.artifact`, value: digest, message, fix: 'Take the digest from output of a training step: GET /v1/runs/{id}' });
  }
  return { ...source, artifact: digest };
}

async function modelOfRun({ database, teamId }: Pick<Place, 'database' | 'teamId'>, field: string, from: NonNullable<ModelSource['from']>): Promise<string> {
  const tree = await database.runs.tree(from.run as RunId, teamId);
  if (tree === null) throw fieldError('RUN.NOT_FOUND', { field: `${field}.from.run`, value: from.run, message: `There is no run ${from.run}`, fix: 'List the runs with GET /v1/runs?state=succeeded' });
  if (tree.run.state !== 'succeeded') {
    throw fieldError('RUN.NOT_SUCCEEDED', { field: `${field}.from.run`, value: from.run, message: `Run ${from.run} has not succeeded: it is ${tree.run.state}`, fix: 'Wait for it to succeed, or name a model of another run' });
  }
  return outputOf(tree, modelOf(tree, field, from.model));
}

function modelOf({ run }: RunTree, field: string, name: string): PlannedModel {
  const { models } = compileRun(run.spec);
  const found = name === 'final' ? models.at(-1) : models.find((model) => model.name === name);
  if (found !== undefined) return found;
  const names = ['final', ...models.map((model) => model.name)].join(', ');
  throw fieldError('RUN.NO_SUCH_MODEL', { field: `${field}.from.model`, value: name, message: `Run ${run.id} has no model ${JSON.stringify(name)}`, fix: `Give one of: ${names}` });
}

function outputOf({ run, steps }: RunTree, model: PlannedModel): string {
  const output = steps.find(({ key }) => key === model.step)?.output ?? null;
  if (output === null) throw new SgpoError('SERVICE.INTERNAL', `Step ${model.step} of run ${run.id} has no output`, { remedy: 'Report this: a run that succeeded has an output of every step' });
  return output;
}
