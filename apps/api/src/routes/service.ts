import { routes } from '@sgpo/contracts';
import type { FastifyInstance } from 'fastify';
import type { Dependencies } from '../dependencies.ts';
import { notReady } from '../errors.ts';
import { pingInTime } from '../ping.ts';
import { addRoute } from '../route.ts';

/** Health and readiness. */
export function addServiceRoutes(app: FastifyInstance, { database }: Dependencies): void {
  addRoute(app, 'health', routes.health, () => Promise.resolve({ status: 'ok' }));

  addRoute(app, 'ready', routes.ready, async () => {
    try {
      await pingInTime(database);
    } catch (cause) {
      throw notReady(cause);
    }
    return { status: 'ready' as const };
  });
}
