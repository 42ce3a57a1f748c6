import { SgpoError } from '@sgpo/core';

/** Throws RUN.IDEMPOTENCY_CONFLICT unless the key comes with the body it was first used with. */
export function requireSameBody(key: string | null, bodyHash: string | null, earlier: { readonly kind: 'run' | 'study'; readonly id: string; readonly bodyHash: string | null }): void {
  if (earlier.bodyHash === bodyHash) return;
  throw new SgpoError('RUN.IDEMPOTENCY_CONFLICT', `The Idempotency-Key ${JSON.stringify(key)} made ${earlier.kind} ${earlier.id} from another body`, {
    remedy: 'Send a new key with the new body, or the first body with this key',
  });
}
