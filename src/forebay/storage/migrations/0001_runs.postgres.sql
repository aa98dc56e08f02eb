-- Runs, their log, the keys that make submissions idempotent, and values beside the log.

CREATE TABLE forebay.run (
    number         bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id             uuid    NOT NULL UNIQUE,
    tenant         text    NOT NULL,
    caller         text    NOT NULL,
    agent          text    NOT NULL,
    session        text,
    priority       integer NOT NULL DEFAULT 0,
    status         text    NOT NULL,
    durable        boolean NOT NULL,
    last           bigint  NOT NULL,
    attempt        integer NOT NULL,
    holder         text,
    lease_until    timestamptz,
    reason         text,
    metadata       text,
    created        bigint  NOT NULL,
    started        bigint,
    finished       bigint,
    expiry_seconds bigint  NOT NULL,
    expires        bigint,
    log            bytea
) WITH (fillfactor = 60);  -- every append changes its run's row: room for that on the same page

-- Of columns that never change while a run is unfinished, so that its row is all there is to write.
CREATE INDEX run_unfinished ON forebay.run (number) WHERE finished IS NULL;
CREATE INDEX run_expires ON forebay.run (expires) WHERE expires IS NOT NULL;
CREATE INDEX run_session ON forebay.run (tenant, session, id) WHERE session IS NOT NULL;

CREATE TABLE forebay.event (
    run     bigint  NOT NULL,
    seq     bigint  NOT NULL,
    attempt integer NOT NULL,
    type    text    NOT NULL,
    ts      bigint  NOT NULL,
    data    bytea   NOT NULL,
    PRIMARY KEY (run, seq)
);

CREATE TABLE forebay.object (
    run  bigint NOT NULL,
    id   text   NOT NULL,
    data bytea  NOT NULL,
    PRIMARY KEY (run, id)
);

CREATE TABLE forebay.idempotency (
    tenant      text   NOT NULL,
    caller      text   NOT NULL,
    operation   text   NOT NULL,
    key         text   NOT NULL,
    fingerprint bytea  NOT NULL,
    run         uuid   NOT NULL,
    expires     bigint NOT NULL,
    PRIMARY KEY (tenant, caller, operation, key)
);

CREATE INDEX idempotency_expires ON forebay.idempotency (expires);
