import { SgpoError } from '@sgpo/core';
import type { FastifyInstance, FastifyReply } from 'fastify';

/** The signal of a request that is being answered. */
export type SignalOf = (reply: FastifyReply) => AbortSignal;

/**
 * Gives a signal that aborts when the caller has gone, and when the server stops: a request that is waited for would hold up close() for ever.
 * Its reason is REQUEST.ABANDONED or SERVICE.NOT_READY.
 */
export function createCallerSignals(app: FastifyInstance): SignalOf {
  const waiting = new Set<AbortController>();
  app.addHook('preClose', () => { for (const controller of waiting) controller.abort(stopping()); });
  return (reply) => {
    const controller = new AbortController();
    waiting.add(controller);
    // Also emitted once the answer is sent; then nobody listens to the signal any more.
    reply.raw.once('close', () => {
      waiting.delete(controller);
      controller.abort(abandoned());
    });
    return controller.signal;
  };
}

const stopping = (): SgpoError => new SgpoError('SERVICE.NOT_READY', 'The service stops', { remedy: 'Send the request again in a moment' });
const abandoned = (): SgpoError => new SgpoError('REQUEST.ABANDONED', 'The caller went away before the answer', { remedy: 'Wait longer for the answer' });
