import { compileRun } from '@sgpo/core';
import type { DatasetSource, ModelSource, RowSpace, RunSpec, TeamId } from '@sgpo/core';
import type { Dependencies } from '../dependencies.ts';
import { resolveDataset } from './resolve-dataset.ts';
import { resolveModel } from './resolve-model.ts';
import { checkTeacherAddress } from './teacher-address.ts';

/** Looks up what specs of one team name. Made for one request: what several specs share is looked at once. */
export interface SourceResolver {
  /**
   * The spec with what the service knows filled in: digests of registered data sets and of models of finished runs. Throws DATASET.*, MODEL.*,
   * ARTIFACT.*, RUN.* or TEACHER.* for what is not there or cannot be used, in the order a run meets it: data sets, model, teacher.
   */
  resolve(spec: RunSpec): Promise<RunSpec>;
}

const setNames = ['sft', 'improver', 'policy', 'preferences', 'heldOut'] as const;

export function createSourceResolver(dependencies: Dependencies, teamId: TeamId, signal: AbortSignal): SourceResolver {
  const known = new Map<string, Promise<unknown>>();
  function once<Value>(key: readonly unknown[], look: () => Promise<Value>): Promise<Value> {
    const name = JSON.stringify(key);
    const before = known.get(name);
    // Keys begin with what is looked up, which fixes the type of what is found.
    if (before !== undefined) return before as Promise<Value>;
    const looking = look();
    known.set(name, looking);
    return looking;
  }
  const dataset = (space: RowSpace, source: DatasetSource): Promise<DatasetSource> => once(['dataset', space, source], () => resolveDataset({ ...dependencies, teamId, signal }, space, source));
  const model = (field: string, source: ModelSource, requireChatTemplate: boolean): Promise<ModelSource> =>
    once(['model', field, source, requireChatTemplate], () => resolveModel({ ...dependencies, teamId }, { field, source, requireChatTemplate }));

  return {
    async resolve(spec) {
      const data: Record<string, DatasetSource> = {};
      for (const name of setNames) {
        const source = spec.data[name];
        if (source !== null) data[name] = await dataset(name, source);
      }
      const templates = needsOfTemplates(spec);
      const resolved = { ...spec, data: { ...spec.data, ...data }, model: await model('model', spec.model, templates.model) };
      const { teacher } = spec;
      if (teacher === null) return resolved;
      if (teacher.baseUrl !== null) checkTeacherAddress(teacher.baseUrl, dependencies.allowedHosts);
      if (teacher.weights === null) return resolved;
      return { ...resolved, teacher: { ...teacher, weights: await model('teacher.weights', teacher.weights, templates.teacher) } };
    },
  };
}

/** Which models must bring a chat template of their own: the plan knows. */
function needsOfTemplates(spec: RunSpec): { readonly model: boolean; readonly teacher: boolean } {
  const needs = new Map(compileRun(spec).steps.flatMap((step) => (step.kind === 'import-model' ? [[step.key, step.parameters.needsChatTemplate]] : [])));
  return { model: needs.get('import-model') ?? true, teacher: needs.get('import-teacher') ?? true };
}
