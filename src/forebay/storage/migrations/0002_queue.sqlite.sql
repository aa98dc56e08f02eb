-- Runs that wait: for room (queued), for their turn, for an answer, or for their deadline.

ALTER TABLE run ADD COLUMN deadline INTEGER;
ALTER TABLE run ADD COLUMN wake INTEGER;
ALTER TABLE run ADD COLUMN in_turn INTEGER NOT NULL DEFAULT 0;

DROP INDEX run_unfinished;
CREATE INDEX run_unfinished ON run (status, holder) WHERE finished IS NULL;

-- With all that is asked of the queue, so that what may not begin now is passed over quickly.
CREATE INDEX run_queued ON run (agent, priority DESC, number, tenant, in_turn)
    WHERE status = 'submitted';
CREATE INDEX run_turn ON run (tenant, session, number)
    WHERE finished IS NULL AND session IS NOT NULL;
CREATE INDEX run_deadline ON run (deadline) WHERE finished IS NULL AND deadline IS NOT NULL;
CREATE INDEX run_wake ON run (wake) WHERE wake IS NOT NULL;
