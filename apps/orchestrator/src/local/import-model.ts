import { describeModelFolder } from '@sgpo/artifacts';
import type { LocalStep } from './local-task.ts';

/** Makes an artifact of a model folder: the weights and texts it needs, never pickles. */
export const importModel: LocalStep<'import-model'> = async ({ services }, spec) => {
  const model = await describeModelFolder(spec.parameters.path, { roots: services.dataRoots, field: 'model.path' });
  const published = await services.store.importFolder(model.path, (path) => model.files.includes(path));
  return {
    output: { digest: published.digest, kind: 'model', bytes: published.bytes, rows: null, files: published.files, meta: { architecture: model.architecture, source: spec.parameters.path } },
    rowsIn: 0, rowsOut: 0, dropped: {}, stats: { architecture: model.architecture }, provenance: {}, peakRssBytes: null,
  };
};
