# API, orchestrator and CLI: one image, the command chooses.
FROM node:24.21.0-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json tsconfig.json tsconfig.base.json ./
COPY apps ./apps
COPY packages ./packages
COPY prisma ./prisma
RUN npm ci --ignore-scripts \
 && node prisma/generate.mjs \
 && npx tsc -b \
 && npm prune --omit=dev --ignore-scripts

FROM node:24.21.0-bookworm-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=build /app /app
# The store volume takes this folder's owner when it is made.
RUN mkdir /store && chown node:node /store
USER 1000
ENTRYPOINT ["node"]
CMD ["apps/api/dist/main.js"]
