import { describeDataset, describeModelFolder } from '@sgpo/artifacts';
import { detectFormat, SgpoError } from '@sgpo/core';
import type { RunSpec } from '@sgpo/core';
import { checkTeacherAddress } from './teacher-address.ts';

/** Checks that what a spec names is there and usable, in the order a run meets it: data sets, model, teacher. Throws DATASET.*, MODEL.* or TEACHER.*. */
export async function checkSources(spec: RunSpec, { dataRoots, allowedHosts }: { readonly dataRoots: readonly string[]; readonly allowedHosts: readonly string[] }): Promise<void> {
  for (const name of ['improver', 'policy', 'heldOut'] as const) {
    const source = spec.data[name];
    if (source === null) continue;
    const field = `data.${name}.path`;
    const { columns } = await describeDataset(source.path, { roots: dataRoots, field });
    if (detectFormat(columns) === null) throw wrongColumns(field, source.path, columns);
  }
  await describeModelFolder(spec.model.path, { roots: dataRoots, field: 'model.path' });
  checkTeacherAddress(spec.teacher.baseUrl, allowedHosts);
}

const acceptedColumns = 'chosen and rejected; prompt and response, completion or reference; instruction and output; messages; conversations';

function wrongColumns(field: string, path: string, columns: readonly string[]): SgpoError {
  const found = columns.slice(0, 30).map((column) => column.slice(0, 60)).join(', ');
  const message = `${field} has the columns ${found}, which are no known format`;
  const fix = `Give a file with one of these sets of columns: ${acceptedColumns}`;
  return new SgpoError('DATASET.WRONG_COLUMNS', message, { remedy: fix, problems: [{ field, value: path, message, fix }] });
}
