-- The spool, version 1. Applied once, inside one transaction, by database.rs; never edited after a release:
-- the next shape is the next step of the ladder. Times are milliseconds since 1970 (UTC).
--
-- Nothing clear rests here: `body` is sealed to the recipient, `slip`, `summary`, `remaining` and the sealed half of
-- a note are sealed to ourselves, `message_id_tag` is a keyed tag. The spool never sees a key.

-- One row per message and destination. Kept after the end (without its body) for as long as the journal is kept.
CREATE TABLE rows (
    seq            INTEGER PRIMARY KEY,              -- order of acceptance; the cursor of `recent`
    id             BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
    queue_id       TEXT    NOT NULL,
    direction      INTEGER NOT NULL CHECK (direction IN (0, 1)),  -- 0 out, 1 in
    kind           INTEGER NOT NULL CHECK (kind BETWEEN 0 AND 4), -- 0 mail, 1 receipts, 2 report, 3 unopened, 4 draft
    state          INTEGER NOT NULL CHECK (state BETWEEN 0 AND 5),-- 0 queued, 1 sent, 2 held | 3 delivered, 4 failed, 5 expired
    partner        TEXT,
    partner_domain TEXT    NOT NULL,
    message_id     BLOB,                             -- DCCP message id; NULL until an arrived message was opened
    message_id_tag BLOB,
    digest         BLOB    NOT NULL CHECK (length(digest) = 32),
    size           INTEGER NOT NULL,                 -- of the message, as the journal shows it
    body_bytes     INTEGER NOT NULL,                 -- of the body that rests here; 0 after the end
    attempts       INTEGER NOT NULL DEFAULT 0,
    accepted_at    INTEGER NOT NULL,
    progress_at    INTEGER NOT NULL,                 -- last step forward; putting off is not a step
    next_at        INTEGER NOT NULL,
    expires_at     INTEGER NOT NULL,
    summary        BLOB    NOT NULL,
    remaining      BLOB
) STRICT;

-- Every index of the work is partial: a message that has ended costs the courier nothing.
CREATE INDEX rows_due         ON rows (direction, next_at, id)             WHERE state = 0;
CREATE INDEX rows_due_partner ON rows (partner, next_at, id)               WHERE state = 0 AND direction = 0;
CREATE INDEX rows_held        ON rows (partner_domain)                     WHERE state = 2;
CREATE INDEX rows_open        ON rows (expires_at, progress_at, state, id) WHERE state < 3;
CREATE INDEX rows_final       ON rows (progress_at)                        WHERE state >= 3;
CREATE INDEX rows_queue_id    ON rows (queue_id);
CREATE INDEX rows_message_id  ON rows (message_id)                         WHERE message_id IS NOT NULL;
CREATE INDEX rows_tag         ON rows (message_id_tag)                     WHERE message_id_tag IS NOT NULL;
-- A receipt names the digest of what it is about.
CREATE INDEX rows_awaiting    ON rows (digest)                             WHERE direction = 0 AND state < 3;
-- What arrived from the overlay is kept once; our own reports (kind 2) do not arrive.
CREATE UNIQUE INDEX rows_arrived ON rows (digest)                          WHERE direction = 1 AND kind <> 2;

-- Apart from its row, so that a change of state never rewrites a body. `slip` stands before `body`: it can be read
-- without walking the body's overflow pages.
CREATE TABLE bodies (
    row  INTEGER PRIMARY KEY REFERENCES rows (seq) ON DELETE CASCADE,
    slip BLOB,
    body BLOB NOT NULL
) STRICT;

-- The journal: what happened to a row, in order. Clustered by row, so that one trace is one read.
CREATE TABLE journal (
    row    INTEGER NOT NULL REFERENCES rows (seq) ON DELETE CASCADE,
    n      INTEGER NOT NULL,
    at     INTEGER NOT NULL,
    stage  INTEGER NOT NULL,
    reason TEXT    NOT NULL,
    sealed BLOB,
    PRIMARY KEY (row, n)
) STRICT, WITHOUT ROWID;

-- The signed words of a partner that ended a row, sealed to ourselves.
CREATE TABLE evidence (
    row    INTEGER PRIMARY KEY REFERENCES rows (seq) ON DELETE CASCADE,
    sealed BLOB NOT NULL
) STRICT;

-- How many rows and resting bytes each state has: kept by the writer in the transaction that moves them, so that a
-- look at the queue never counts a table.
CREATE TABLE tallies (
    direction INTEGER NOT NULL,
    state     INTEGER NOT NULL,
    rows      INTEGER NOT NULL,
    bytes     INTEGER NOT NULL,
    PRIMARY KEY (direction, state)
) STRICT, WITHOUT ROWID;

-- Receipts that wait to travel together. AUTOINCREMENT: an id that was consumed never comes back.
CREATE TABLE receipts (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    partner TEXT NOT NULL,
    sealed  BLOB NOT NULL
) STRICT;
CREATE INDEX receipts_partner ON receipts (partner, id);

-- Which (sender, message id) were already settled here: protocol §7, "effectively once".
CREATE TABLE replays (
    key   BLOB PRIMARY KEY CHECK (length(key) = 32),
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX replays_until ON replays (until);

-- Rooms that keep their own small things here, through `Spool::write` and `Spool::read`.
CREATE TABLE settings (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE partners (
    domain     TEXT PRIMARY KEY,
    did        TEXT NOT NULL,
    file       BLOB NOT NULL,
    standing   TEXT NOT NULL,
    candidate  BLOB,
    added_at   INTEGER NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT;
CREATE INDEX partners_did ON partners (did);

CREATE TABLE prekeys (
    key_id     BLOB PRIMARY KEY,
    epoch      INTEGER NOT NULL,
    not_before INTEGER NOT NULL,
    expires    INTEGER NOT NULL,
    sealed     BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE partner_prekeys (
    did     TEXT NOT NULL,
    key_id  BLOB NOT NULL,
    epoch   INTEGER NOT NULL,
    record  BLOB NOT NULL,
    expires INTEGER NOT NULL,
    PRIMARY KEY (did, key_id)
) STRICT;

-- The best records of every DID that was looked at: partners' and strangers'. Only what was verified.
CREATE TABLE identities (
    did            TEXT PRIMARY KEY,
    bundle         BLOB    NOT NULL,
    manifest_epoch INTEGER NOT NULL, -- the highest that was seen: it never goes back
    fetched_at     INTEGER NOT NULL,
    at_seq         INTEGER,          -- while two logs of the DID contradict each other: from which operation on,
    rival          BLOB              -- and the other bundle
) STRICT;
CREATE INDEX identities_age ON identities (fetched_at);

-- On what footing a partner is known, beside its records: one row per DID.
CREATE TABLE footings (
    did        TEXT PRIMARY KEY,
    trust      INTEGER NOT NULL CHECK (trust BETWEEN 1 AND 3), -- docs/PROTOCOL.md, trust levels
    checked_at INTEGER,                                        -- the last look at its domain
    notice     TEXT                                            -- what that look found, when it was not the same
) STRICT, WITHOUT ROWID;
