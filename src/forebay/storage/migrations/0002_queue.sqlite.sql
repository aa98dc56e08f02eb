-- Runs that wait: for room (queued), for an answer, or for their deadline.

ALTER TABLE run ADD COLUMN deadline INTEGER;
ALTER TABLE run ADD COLUMN wake INTEGER;

DROP INDEX run_unfinished;
CREATE INDEX run_unfinished ON run (status, holder) WHERE finished IS NULL;
CREATE INDEX run_queued ON run (agent, priority DESC) WHERE status = 'submitted';
CREATE INDEX run_deadline ON run (deadline) WHERE finished IS NULL AND deadline IS NOT NULL;
CREATE INDEX run_wake ON run (wake) WHERE wake IS NOT NULL;
