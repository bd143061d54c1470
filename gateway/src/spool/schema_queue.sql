-- The spool, version 4: the outside world, and what people do to the queue.

-- A CHECK cannot be changed in place, so `rows` is made anew (sqlite.org/lang_altertable.html, §7). database.rs keeps
-- foreign keys off meanwhile: dropping the old table would take bodies and journals with it.
CREATE TABLE rows_anew (
    seq            INTEGER PRIMARY KEY,
    id             BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
    queue_id       TEXT    NOT NULL,
    direction      INTEGER NOT NULL CHECK (direction IN (0, 1)),  -- 0 out, 1 in
    kind           INTEGER NOT NULL CHECK (kind BETWEEN 0 AND 6), -- 0 mail, 1 receipts, 2 report, 3 unopened, 4 draft,
                                                                  -- 5 relay, 6 foreign
    state          INTEGER NOT NULL CHECK (state BETWEEN 0 AND 5),-- 0 queued, 1 sent, 2 held | 3 delivered, 4 failed, 5 expired
    lane           INTEGER NOT NULL CHECK (lane BETWEEN 0 AND 2), -- 0 people, 1 reports, 2 bulk
    source         INTEGER NOT NULL CHECK (source BETWEEN 0 AND 63), -- which of 64 heaps its sender's domain falls into
    partner        TEXT,
    partner_domain TEXT    NOT NULL,
    next_hop       TEXT,                             -- of a relay row: the way an administrator chose for it
    message_id     BLOB,
    message_id_tag BLOB,
    digest         BLOB    NOT NULL CHECK (length(digest) = 32),
    size           INTEGER NOT NULL,
    body_bytes     INTEGER NOT NULL,
    attempts       INTEGER NOT NULL DEFAULT 0,
    accepted_at    INTEGER NOT NULL,
    progress_at    INTEGER NOT NULL,
    next_at        INTEGER NOT NULL,
    expires_at     INTEGER NOT NULL,
    held_by        TEXT,                             -- the person or the standing rule that holds it; NULL: the judge
    summary        BLOB    NOT NULL,
    remaining      BLOB
) STRICT;
INSERT INTO rows_anew (seq, id, queue_id, direction, kind, state, lane, source, partner, partner_domain, message_id,
                       message_id_tag, digest, size, body_bytes, attempts, accepted_at, progress_at, next_at,
                       expires_at, summary, remaining)
    SELECT seq, id, queue_id, direction, kind, state, 0, 0, partner, partner_domain, message_id, message_id_tag,
           digest, size, body_bytes, attempts, accepted_at, progress_at, next_at, expires_at, summary, remaining
    FROM rows;
DROP TABLE rows;
ALTER TABLE rows_anew RENAME TO rows;

-- What is due is read heap by heap: each lane and source has its own, in order of time.
CREATE INDEX rows_due         ON rows (direction, lane, source, next_at, id, kind) WHERE state = 0 AND kind <> 5;
CREATE INDEX rows_due_partner ON rows (partner, lane, source, next_at, id) WHERE state = 0 AND direction = 0; -- relay rows have none
CREATE INDEX rows_due_outside ON rows (lane, source, next_at, id)          WHERE state = 0 AND kind = 5;
CREATE INDEX rows_waiting     ON rows (seq)                                WHERE state < 3;
CREATE INDEX rows_held        ON rows (partner_domain)                     WHERE state = 2;
CREATE INDEX rows_open        ON rows (expires_at, progress_at, state, id) WHERE state < 3;
CREATE INDEX rows_final       ON rows (progress_at)                        WHERE state >= 3;
CREATE INDEX rows_queue_id    ON rows (queue_id);
CREATE INDEX rows_message_id  ON rows (message_id)                         WHERE message_id IS NOT NULL;
CREATE INDEX rows_tag         ON rows (message_id_tag)                     WHERE message_id_tag IS NOT NULL;
CREATE INDEX rows_awaiting    ON rows (digest)                             WHERE direction = 0 AND state < 3;
-- What is sealed to ourselves (reports, mail of strangers) does not arrive from the overlay.
CREATE UNIQUE INDEX rows_arrived ON rows (digest)                          WHERE direction = 1 AND kind NOT IN (2, 6);

-- Who did what to the queue and to its rules. Each entry names the hash of the one before, so that none can be changed or
-- taken out unseen; what may name people is sealed.
CREATE TABLE audit (
    seq     INTEGER PRIMARY KEY,                     -- 1, 2, 3 … without a gap
    at      INTEGER NOT NULL,
    who     TEXT    NOT NULL,                        -- as they called themselves to whoever holds the token
    act     TEXT    NOT NULL,
    subject TEXT    NOT NULL,                        -- a queue id, or the name of a rule
    sealed  BLOB    NOT NULL,                        -- why
    hash    BLOB    NOT NULL CHECK (length(hash) = 32)
) STRICT;
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is append only'); END;
CREATE TRIGGER audit_is_not_cut     BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is append only'); END;

-- "Hold everything to or from X until I say so": what a rule looks for names people, so it is sealed.
CREATE TABLE hold_rules (
    name   TEXT PRIMARY KEY,
    sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;
