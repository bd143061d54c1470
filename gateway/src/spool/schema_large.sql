-- The spool, version 6: large bodies. The octets of a large mail rest here once, in chunks, however many rows it has.

-- Written chunk by chunk, in commits of their own, before the first row that refers to it. Its key stands in what is sealed
-- to those who may read it, never here.
CREATE TABLE large_bodies (
    id         BLOB    PRIMARY KEY CHECK (length(id) = 16),       -- never used again, not even after its end
    standing   INTEGER NOT NULL CHECK (standing BETWEEN 0 AND 2), -- 0 coming: no row refers to it yet, 1 kept, 2 over
    partner    TEXT,                                              -- whose gateway brings it; NULL: sealed here, or over
    digest     BLOB CHECK (length(digest) = 32),                  -- by which it is known on the way
    bytes      INTEGER NOT NULL,                                  -- of the chunks that came
    touched_at INTEGER NOT NULL,                                  -- when the last of them came
    CHECK ((partner IS NULL) = (digest IS NULL))
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX large_bodies_known ON large_bodies (partner, digest) WHERE partner IS NOT NULL;
CREATE INDEX large_bodies_standing ON large_bodies (standing, partner, bytes);

-- `hash` stands before `sealed`: an arriving body is compared with its digest without being read again.
CREATE TABLE chunks (
    body   BLOB    NOT NULL REFERENCES large_bodies (id),
    n      INTEGER NOT NULL,                         -- 0, 1, 2 …
    hash   BLOB    CHECK (length(hash) = 32),        -- SHA-256 of `sealed`; NULL: sealed here
    sealed BLOB    NOT NULL,
    PRIMARY KEY (body, n)
) STRICT;

ALTER TABLE rows ADD COLUMN large BLOB REFERENCES large_bodies (id);
CREATE INDEX rows_large ON rows (large) WHERE large IS NOT NULL;
