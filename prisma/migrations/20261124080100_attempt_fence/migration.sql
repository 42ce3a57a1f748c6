-- Fences of attempts rise over all runs and workers: a worker refuses what carries an older fence than it has seen.
CREATE SEQUENCE "attempt_fence" AS BIGINT;
