import { createHash, randomBytes } from 'node:crypto';
import type { TeamId, TokenId } from '@sgpo/core';
import { addMs, databaseNow, type Client } from '../client.ts';
import type { Prisma } from '../generated/client.ts';
import { createId } from '../ids.ts';
import type { TokenRepository } from '../repositories.ts';

const tokenPrefix = 'sgpo_';
const shownCharacters = 10;
/** A use is noted at most this often. */
const noteEveryMs = 60_000;

const hashOf = (token: string): string => createHash('sha256').update(token, 'utf8').digest('hex');
const aliveAt = (now: Date): Prisma.ApiTokenWhereInput => ({ revokedAt: null, OR: [{ expiresAt: null }, { expiresAt: { gt: now } }] });

export function createTokenRepository(client: Client): TokenRepository {
  return {
    async ensureTeam(name) {
      await client.team.createMany({ data: [{ id: createId('team'), name }], skipDuplicates: true });
      return (await client.team.findUniqueOrThrow({ where: { name } })).id as TeamId;
    },

    async create({ teamId, name, expiresAt }) {
      const token = `${tokenPrefix}${randomBytes(32).toString('base64url')}`;
      const id = createId('token');
      await client.apiToken.create({ data: { id, teamId, name, expiresAt, prefix: token.slice(0, shownCharacters), hash: hashOf(token) } });
      return { id, token };
    },

    async verify(token) {
      const now = await databaseNow(client);
      const row = await client.apiToken.findFirst({ where: { hash: hashOf(token), ...aliveAt(now) } });
      if (row === null) return null;
      const noted = addMs(now, -noteEveryMs);
      if (row.lastUsedAt === null || row.lastUsedAt < noted) {
        await client.apiToken.updateMany({ where: { id: row.id, OR: [{ lastUsedAt: null }, { lastUsedAt: { lt: noted } }] }, data: { lastUsedAt: now } });
      }
      return { id: row.id as TokenId, teamId: row.teamId as TeamId };
    },

    async revoke(id) {
      const { count } = await client.apiToken.updateMany({ where: { id, revokedAt: null }, data: { revokedAt: await databaseNow(client) } });
      return count > 0;
    },

    async count(teamId) {
      return client.apiToken.count({ where: { teamId, ...aliveAt(await databaseNow(client)) } });
    },
  };
}
