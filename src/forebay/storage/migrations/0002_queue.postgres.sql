-- Runs that wait: for room (queued), for their turn, for an answer, or for their deadline.

ALTER TABLE forebay.run ADD COLUMN deadline bigint, ADD COLUMN wake bigint,
    ADD COLUMN in_turn boolean NOT NULL DEFAULT false;

-- Of columns that change only when a run begins or ends to run: in between, its row is all there
-- is to write. By bytes, so that the beginning of a name is a range.
DROP INDEX forebay.run_unfinished;
CREATE INDEX run_held ON forebay.run (holder COLLATE "C", number) WHERE status = 'running';
CREATE INDEX run_queued ON forebay.run (agent, priority DESC, number) WHERE status = 'submitted';
CREATE INDEX run_turn ON forebay.run (tenant, session, number)
    WHERE finished IS NULL AND session IS NOT NULL;
CREATE INDEX run_deadline ON forebay.run (deadline)
    WHERE finished IS NULL AND deadline IS NOT NULL;
CREATE INDEX run_wake ON forebay.run (wake) WHERE wake IS NOT NULL;
