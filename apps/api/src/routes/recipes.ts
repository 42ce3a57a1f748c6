import { listRecipes, routes } from '@sgpo/contracts';
import type { FastifyInstance } from 'fastify';
import { addRoute } from '../route.ts';
import { toWire } from '../wire.ts';

/** The presets; they change with a release only. */
export function addRecipeRoutes(app: FastifyInstance): void {
  addRoute(app, 'recipes', routes.recipes, () => Promise.resolve(toWire({ recipes: listRecipes() })));
}
