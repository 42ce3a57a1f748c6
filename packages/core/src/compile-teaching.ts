import type { PlanBuilder } from './plan-builder.ts';
import type { EndpointTeacher, PromptName } from './plan.ts';
import type { RunSpec, SamplingOptions, TeacherOptions } from './spec.ts';

/** What the improver's training set is made from: keys of steps; answers and scores by target. */
export interface TeachInputs {
  readonly rows: string;
  readonly draft: string;
  readonly answers: Readonly<Record<string, string>>;
  readonly scores: Readonly<Record<string, string>>;
}

/** y₀ of π₀, then ŷ and y_ext (whichever are targets) and their perplexities under π₀ (Step 1). */
export function addImprovedTargets(spec: RunSpec, builder: PlanBuilder, { rows, pi0 }: { readonly rows: string; readonly pi0: string }): TeachInputs {
  const draft = builder.generate({ key: 'generate-y0', title: 'y₀ ~ π₀(x)', space: 'improver', prompt: 'plain', inputs: { rows, model: pi0 } });
  const ask = createAsk(spec, builder, pi0);
  const answers: Record<string, string> = {};
  const scores: Record<string, string> = {};
  for (const target of ['external', 'improved'] as const) {
    if (!spec.recipe.targets.includes(target)) continue;
    const symbol = target === 'improved' ? 'ŷ' : 'y_ext';
    answers[target] = target === 'improved'
      ? ask('teach-improved', `${symbol} from the teacher`, 'teach', { rows, draft })
      : ask('teach-external', `${symbol} from the teacher`, 'plain', { rows });
    scores[target] = builder.score({
      key: `score-${target}`, title: `perplexity of ${symbol} under π₀`, space: 'improver', inputs: { rows, model: pi0, answers: answers[target] }, of: 'answers',
    });
  }
  return { rows, draft, answers, scores };
}

type Ask = (key: string, title: string, prompt: PromptName, inputs: Readonly<Record<string, string>>) => string;

/** How the teacher is asked: over HTTP, or as weights that the workers sample. */
function createAsk(spec: RunSpec, builder: PlanBuilder, pi0: string): Ask {
  const { teacher } = spec;
  if (teacher === null) throw new TypeError('no teacher: specs are checked before they are compiled');
  if (teacher.source === 'endpoint') {
    // Somebody waits for a preview: a batch may take a day, and asks for the same answers.
    const endpoint = endpointOf(spec.preview === null ? teacher : { ...teacher, mode: 'requests' });
    return (key, title, prompt, inputs) => builder.teach({ key, title, space: 'improver', inputs, prompt, teacher: endpoint });
  }
  const model = teacher.source === 'policy' ? pi0 : builder.add({
    key: 'import-teacher', kind: 'import-model', title: 'teacher', space: null, inputs: {}, parameters: { model: weightsOf(teacher), needsChatTemplate: true },
  });
  const sampling: SamplingOptions = { ...spec.sampling, temperature: teacher.temperature, topP: teacher.topP, maxNewTokens: teacher.maxTokens };
  // A policy that teaches itself draws its second sample: the first is y₀.
  const sampleIndex = teacher.source === 'policy' ? 1 : 0;
  return (key, title, prompt, inputs) => builder.generate({ key, title, space: 'improver', inputs: { ...inputs, model }, prompt, sampling, sampleIndex });
}

function endpointOf(teacher: TeacherOptions): EndpointTeacher {
  const { baseUrl, model } = teacher;
  if (baseUrl === null || model === null) throw new TypeError('an endpoint needs baseUrl and model: specs are checked before they are compiled');
  return { ...teacher, baseUrl, model };
}

function weightsOf({ weights }: TeacherOptions): NonNullable<TeacherOptions['weights']> {
  if (weights === null) throw new TypeError('a teacher of the fleet needs weights: specs are checked before they are compiled');
  return weights;
}
