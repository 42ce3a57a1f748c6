-- AlterTable
ALTER TABLE "run" ADD COLUMN     "budget" JSONB NOT NULL DEFAULT '{"tokens": null, "cost": null}',
ADD COLUMN     "pause_reason" TEXT,
ADD COLUMN     "study_entry" JSONB,
ADD COLUMN     "study_id" TEXT;

-- AlterTable
ALTER TABLE "task" ADD COLUMN     "told_of" TEXT;

-- CreateTable
CREATE TABLE "study" (
    "id" TEXT NOT NULL,
    "team_id" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "request" JSONB NOT NULL,
    "idempotency_key" TEXT,
    "body_hash" CHAR(64),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "study_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "dataset" (
    "id" TEXT NOT NULL,
    "team_id" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "state" TEXT NOT NULL,
    "space" TEXT NOT NULL,
    "source" JSONB NOT NULL,
    "license" TEXT,
    "schema" JSONB,
    "counts" JSONB,
    "sha256" CHAR(64),
    "preview" JSONB,
    "failure" JSONB,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "dataset_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "teacher_spend" (
    "run_id" TEXT NOT NULL,
    "calls" INTEGER NOT NULL DEFAULT 0,
    "prompt_tokens" BIGINT NOT NULL DEFAULT 0,
    "completion_tokens" BIGINT NOT NULL DEFAULT 0,

    CONSTRAINT "teacher_spend_pkey" PRIMARY KEY ("run_id")
);

-- CreateTable
CREATE TABLE "teacher_batch" (
    "id" TEXT NOT NULL,
    "key" CHAR(64) NOT NULL,
    "run_id" TEXT NOT NULL,
    "state" TEXT NOT NULL,
    "batch_id" TEXT,
    "input_file_id" TEXT,
    "requests" INTEGER NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "teacher_batch_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "study_team_id_id_idx" ON "study"("team_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "study_team_id_idempotency_key_key" ON "study"("team_id", "idempotency_key");

-- CreateIndex
CREATE INDEX "dataset_state_idx" ON "dataset"("state");

-- CreateIndex
CREATE UNIQUE INDEX "dataset_team_id_name_key" ON "dataset"("team_id", "name");

-- CreateIndex
CREATE INDEX "teacher_batch_key_state_idx" ON "teacher_batch"("key", "state");

-- CreateIndex
CREATE INDEX "run_study_id_idx" ON "run"("study_id");

-- CreateIndex
CREATE INDEX "step_kind_started_at_idx" ON "step"("kind", "started_at");

-- AddForeignKey
ALTER TABLE "run" ADD CONSTRAINT "run_study_id_fkey" FOREIGN KEY ("study_id") REFERENCES "study"("id") ON DELETE SET NULL ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "study" ADD CONSTRAINT "study_team_id_fkey" FOREIGN KEY ("team_id") REFERENCES "team"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "dataset" ADD CONSTRAINT "dataset_team_id_fkey" FOREIGN KEY ("team_id") REFERENCES "team"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "teacher_spend" ADD CONSTRAINT "teacher_spend_run_id_fkey" FOREIGN KEY ("run_id") REFERENCES "run"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- Runs of before read as runs of today: what their specs did not say yet is what they did, or the default.
UPDATE "run" SET "spec" = "spec" || jsonb_build_object(
    'model', added.model || ("spec" -> 'model'),
    'data', added.data || jsonb_build_object(
        'improver', added.source || ("spec" #> '{data,improver}'),
        'policy', added.source || ("spec" #> '{data,policy}'),
        'heldOut', CASE jsonb_typeof("spec" #> '{data,heldOut}') WHEN 'object' THEN added.source || ("spec" #> '{data,heldOut}') END
    ),
    'recipe', added.recipe || ("spec" -> 'recipe'),
    'teacher', added.teacher || ("spec" -> 'teacher'),
    'rules', added.rules,
    'sftTraining', added.training || ("spec" -> 'improverTraining') || '{"epochs": 1, "chatTemplate": "auto"}',
    'improverTraining', added.training || ("spec" -> 'improverTraining'),
    'preference', added.training || added.preference || ("spec" -> 'preference') || jsonb_build_object('loss', jsonb_build_array("spec" #> '{preference,loss}')),
    'preview', NULL
) FROM (SELECT
    '{"artifact": null, "from": null}'::jsonb AS model,
    '{"sft": null, "preferences": null, "heldOutOverlap": "drop", "scores": "check"}'::jsonb AS data,
    '{"hub": null, "dataset": null, "format": "auto", "columns": null, "malformed": "drop", "dropFlagged": [], "sha256": null}'::jsonb AS source,
    '{"rejected": "sampled"}'::jsonb AS recipe,
    '{"source": "endpoint", "weights": null, "mode": "requests", "limits": {"requestsPerMinute": null, "tokensPerMinute": null}, "budget": {"tokens": null, "cost": null}}'::jsonb AS teacher,
    jsonb_build_object('unfinished', 'drop', 'copyOfDraft', 'drop', 'replay', 0, 'targetFlaws', flaws.names, 'chosenFlaws', flaws.names) AS rules,
    '{"lora": null, "publish": "last", "validation": null}'::jsonb AS training,
    '{"trainer": "dpo", "lossWeights": null, "ldAlpha": null, "simpoGamma": null, "cpoAlpha": null, "desirableWeight": null, "undesirableWeight": null, "discopopTau": null}'::jsonb AS preference
    FROM (SELECT '["empty", "invalid_unicode", "delimiter_leak", "instruction_echo", "meta_talk", "refusal", "broken_escape", "copy_of_reference"]'::jsonb AS names) AS flaws
) AS added;
