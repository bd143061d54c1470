-- The archive: copies of mail that must be kept. In the database of the queue, because a copy and the acceptance of its
-- mail are one commit; a commit over two files is not one when the power fails in the middle of it (sqlite.org/wal.html).

CREATE TABLE archive (
    seq            INTEGER PRIMARY KEY,
    id             BLOB    NOT NULL UNIQUE CHECK (length(id) = 16), -- the row's, where attempts may come again
    queue_id       TEXT    NOT NULL,
    way            INTEGER NOT NULL CHECK (way BETWEEN 0 AND 2),    -- 0 out, 1 in, 2 inside
    at             INTEGER NOT NULL,
    rule           TEXT    NOT NULL,                                -- the rule, or the hold where no rule asked for it
    keep_until     INTEGER NOT NULL,
    key_id         BLOB    NOT NULL CHECK (length(key_id) = 16),    -- of the archive key that opens it
    message_id_tag BLOB,
    bytes          INTEGER NOT NULL                                 -- that rest for it
) STRICT;
CREATE INDEX archive_at         ON archive (at);
CREATE INDEX archive_keep_until ON archive (keep_until);
CREATE INDEX archive_queue_id   ON archive (queue_id);
CREATE INDEX archive_tag        ON archive (message_id_tag) WHERE message_id_tag IS NOT NULL;

-- In a table of its own, so that a look through the archive reads none of them.
CREATE TABLE archive_copies (
    copy   INTEGER PRIMARY KEY REFERENCES archive (seq) ON DELETE CASCADE,
    sealed BLOB NOT NULL
) STRICT;

-- Keyed tags of everybody whom a mail is from or to, and of their domains.
CREATE TABLE archive_people (
    tag  BLOB    NOT NULL CHECK (length(tag) = 16),
    copy INTEGER NOT NULL REFERENCES archive (seq) ON DELETE CASCADE,
    PRIMARY KEY (tag, copy)
) STRICT, WITHOUT ROWID;
CREATE INDEX archive_people_copy ON archive_people (copy);

-- Legal holds. Whom they name is sealed, and tagged below; a hold that names nobody is about everybody.
CREATE TABLE archive_holds (
    name      TEXT    PRIMARY KEY,
    from_at   INTEGER NOT NULL,
    until_at  INTEGER NOT NULL,
    everybody INTEGER NOT NULL CHECK (everybody IN (0, 1)),
    sealed    BLOB    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE archive_hold_people (
    hold TEXT NOT NULL REFERENCES archive_holds (name) ON DELETE CASCADE,
    tag  BLOB NOT NULL CHECK (length(tag) = 16),
    PRIMARY KEY (hold, tag)
) STRICT, WITHOUT ROWID;

-- Which copy is under which hold.
CREATE VIEW archive_held (copy, hold) AS
    SELECT a.seq, h.name FROM archive_holds h JOIN archive a ON a.at >= h.from_at AND a.at < h.until_at
    WHERE h.everybody = 1 OR EXISTS (
        SELECT 1 FROM archive_people p JOIN archive_hold_people w ON w.tag = p.tag
        WHERE p.copy = a.seq AND w.hold = h.name);

-- One row: what rests here.
CREATE TABLE archive_tally (
    one    INTEGER PRIMARY KEY CHECK (one = 1),
    copies INTEGER NOT NULL,
    bytes  INTEGER NOT NULL
) STRICT;
INSERT INTO archive_tally VALUES (1, 0, 0);
CREATE TRIGGER archive_counts_more AFTER INSERT ON archive BEGIN
    UPDATE archive_tally SET copies = copies + 1, bytes = bytes + NEW.bytes;
END;
CREATE TRIGGER archive_counts_less AFTER DELETE ON archive BEGIN
    UPDATE archive_tally SET copies = copies - 1, bytes = bytes - OLD.bytes;
END;

-- Whatever the program does: no copy changes, and none that is held goes.
CREATE TRIGGER archive_is_not_changed BEFORE UPDATE ON archive BEGIN SELECT RAISE(ABORT, 'the archive is not changed'); END;
CREATE TRIGGER archive_copy_is_not_changed BEFORE UPDATE ON archive_copies BEGIN SELECT RAISE(ABORT, 'the archive is not changed'); END;
CREATE TRIGGER archive_held_stays BEFORE DELETE ON archive WHEN EXISTS (SELECT 1 FROM archive_held WHERE copy = OLD.seq) BEGIN
    SELECT RAISE(ABORT, 'a legal hold keeps this copy');
END;
