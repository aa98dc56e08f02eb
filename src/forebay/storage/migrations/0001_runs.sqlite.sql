-- Runs, their log, the keys that make submissions idempotent, and values beside the log.

CREATE TABLE run (
    number         INTEGER PRIMARY KEY AUTOINCREMENT,
    id             BLOB    NOT NULL UNIQUE,
    tenant         TEXT    NOT NULL,
    caller         TEXT    NOT NULL,
    agent          TEXT    NOT NULL,
    session        TEXT,
    priority       INTEGER NOT NULL DEFAULT 0,
    status         TEXT    NOT NULL,
    durable        INTEGER NOT NULL,
    last           INTEGER NOT NULL,
    attempt        INTEGER NOT NULL,
    holder         TEXT,
    lease_until    INTEGER,
    reason         TEXT,
    metadata       TEXT,
    created        INTEGER NOT NULL,
    started        INTEGER,
    finished       INTEGER,
    expiry_seconds INTEGER NOT NULL,
    expires        INTEGER,
    log            BLOB
) STRICT;

CREATE INDEX run_unfinished ON run (status, lease_until) WHERE finished IS NULL;
CREATE INDEX run_expires ON run (expires) WHERE expires IS NOT NULL;
CREATE INDEX run_session ON run (tenant, session, id) WHERE session IS NOT NULL;

CREATE TABLE event (
    gseq    INTEGER PRIMARY KEY AUTOINCREMENT,
    run     INTEGER NOT NULL,
    seq     INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    type    TEXT    NOT NULL,
    ts      INTEGER NOT NULL,
    data    BLOB    NOT NULL,
    UNIQUE (run, seq)
) STRICT;

CREATE TABLE object (
    run  INTEGER NOT NULL,
    id   TEXT    NOT NULL,
    data BLOB    NOT NULL,
    PRIMARY KEY (run, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE idempotency (
    tenant      TEXT    NOT NULL,
    caller      TEXT    NOT NULL,
    operation   TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    fingerprint BLOB    NOT NULL,
    run         BLOB    NOT NULL,
    expires     INTEGER NOT NULL,
    PRIMARY KEY (tenant, caller, operation, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_expires ON idempotency (expires);
