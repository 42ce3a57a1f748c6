import { priceOf, trainsImprover } from '@sgpo/core';
import type { Problem, RunSpec, TeacherOptions } from '@sgpo/core';
import { problem } from './problems.ts';
import { modelConflicts } from './source-conflicts.ts';
import { teacher as teacherSchema } from './spec-teacher.ts';

/** A teacher where one is asked, of the fields its source has, and a price where a budget in currency needs one. */
export function teacherConflicts(spec: RunSpec): Problem[] {
  const { teacher, recipe } = spec;
  if (teacher === null) {
    return trainsImprover(recipe) ? [problem('teacher', null, 'teacher is missing: this recipe trains an improver on its answers', 'Give teacher.baseUrl and teacher.model, or teacher.source: policy')] : [];
  }
  if (!trainsImprover(recipe)) return [problem('teacher', undefined, 'teacher does nothing: this recipe asks none', 'Remove it')];
  return [...weightsConflicts(teacher), ...(teacher.source === 'endpoint' ? endpointConflicts(teacher) : [...unreadFields(teacher), ...samplingConflicts(spec, teacher)])];
}

function endpointConflicts(teacher: TeacherOptions): Problem[] {
  const found = (['baseUrl', 'model'] as const).flatMap((name) => (teacher[name] === null
    ? [problem(`teacher.${name}`, null, `teacher.${name} is missing`, 'Give the address of an OpenAI-compatible API and its name of the model, or set teacher.source to fleet or policy')] : []));
  if (teacher.budget.cost !== null && priceOf(teacher) === null) {
    found.push(problem('teacher.budget.cost', teacher.budget.cost, `teacher.budget.cost needs a price, and none is known for ${JSON.stringify(teacher.model)}`, 'Give teacher.price, or limit teacher.budget.tokens'));
  }
  return found;
}

function weightsConflicts({ source, weights }: TeacherOptions): Problem[] {
  if (source !== 'fleet') return weights === null ? [] : [problem('teacher.weights', undefined, `teacher.weights does nothing: the source is ${source}`, 'Remove it, or set teacher.source to fleet')];
  if (weights !== null) return modelConflicts('teacher.weights', weights);
  return [problem('teacher.weights', null, 'teacher.weights is missing: the fleet needs a model to teach with', 'Give teacher.weights, such as {"path": "models/teacher"}')];
}

const fieldsOfCalls = ['baseUrl', 'model', 'apiKey', 'seed', 'mode', 'concurrency', 'timeoutSeconds', 'maxAttempts', 'limits', 'price', 'budget'] as const satisfies readonly (keyof TeacherOptions)[];
const defaults = teacherSchema.parse({});

/** What only a call over HTTP reads, given for a teacher that is not called. */
function unreadFields(teacher: TeacherOptions): Problem[] {
  return fieldsOfCalls.filter((name) => JSON.stringify(teacher[name]) !== JSON.stringify(defaults[name]))
    .map((name) => problem(`teacher.${name}`, undefined, `teacher.${name} does nothing: it belongs to an endpoint, and the source is ${teacher.source}`, 'Remove it, or set teacher.source to endpoint'));
}

/** Weights are sampled as every other model is: within sampling.maxLength, and without chance when greedy. */
function samplingConflicts({ sampling, recipe, rules }: RunSpec, teacher: TeacherOptions): Problem[] {
  const found: Problem[] = [];
  if (teacher.maxTokens >= sampling.maxLength) {
    found.push(problem('teacher.maxTokens', teacher.maxTokens, `teacher.maxTokens (${String(teacher.maxTokens)}) leaves no room for a prompt within sampling.maxLength (${String(sampling.maxLength)})`,
      `Give less than ${String(sampling.maxLength)}, or raise sampling.maxLength`));
  }
  const greedy = teacher.source === 'policy' && teacher.temperature === 0 && sampling.temperature === 0;
  if (greedy && recipe.targets.includes('external') && rules.copyOfDraft === 'drop') {
    found.push(problem('teacher.temperature', 0, 'teacher.temperature and sampling.temperature are both 0: the policy would answer each prompt as its draft does, and y_ext be dropped as copy_of_draft',
      'Give teacher.temperature above 0, or set recipe.targets to [improved]'));
  }
  return found;
}
