-- The spool, version 3: people, the tree of their bindings, and what is known about people of partners. The people room
-- writes all of it. Addresses rest sealed; they are found again by a keyed tag.

-- One row per person, for ever: a DID outlives the address. Keys and salt derive from the registrar's secret and `id`.
CREATE TABLE people (
    seq        INTEGER PRIMARY KEY,
    id         BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
    did        TEXT    NOT NULL UNIQUE,
    tag        BLOB    NOT NULL CHECK (length(tag) = 16),          -- of the address
    address    BLOB    NOT NULL,                                   -- sealed
    custody    INTEGER NOT NULL CHECK (custody BETWEEN 0 AND 2),   -- 0 org, 1 joint, 2 self
    recovery   BLOB    CHECK (length(recovery) = 32),              -- the person's own commitment
    state      INTEGER NOT NULL CHECK (state BETWEEN 0 AND 3),     -- 0 unlisted, 1 published | 2 left, 3 deactivated
    generation INTEGER NOT NULL,                                   -- of the last binding of the address
    leaf       INTEGER NOT NULL,                                   -- its place in the tree
    added_at   INTEGER NOT NULL
) STRICT;
-- An address belongs to one person at a time.
CREATE UNIQUE INDEX people_bound ON people (tag) WHERE state < 2;
CREATE INDEX people_tag ON people (tag, generation);

-- Made when first asked for; the genesis derives from the row.
CREATE TABLE people_records (
    person   BLOB PRIMARY KEY REFERENCES people (id) ON DELETE CASCADE,
    log      BLOB NOT NULL,
    manifest BLOB NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT;

-- The hashes of all complete subtrees: (0, i) is leaf i. Only ever added to.
CREATE TABLE tree_nodes (
    level    INTEGER NOT NULL,
    position INTEGER NOT NULL,
    hash     BLOB    NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (level, position)
) STRICT, WITHOUT ROWID;

-- Every head that the tree ever had in public, signed.
CREATE TABLE tree_heads (
    size   INTEGER PRIMARY KEY,
    root   BLOB    NOT NULL CHECK (length(root) = 32),
    at     INTEGER NOT NULL,
    signed BLOB    NOT NULL
) STRICT;

-- Heads of partners' trees. At most one per partner is `verified`: the others wait for their proof.
CREATE TABLE observed_heads (
    partner  TEXT    NOT NULL,
    size     INTEGER NOT NULL,
    root     BLOB    NOT NULL CHECK (length(root) = 32),
    verified INTEGER NOT NULL CHECK (verified IN (0, 1)),
    seen_at  INTEGER NOT NULL,
    PRIMARY KEY (partner, size, root)
) STRICT, WITHOUT ROWID;

-- Two heads that are not of one tree, or a binding that went back. Kept until an administrator deletes it.
CREATE TABLE tree_alarms (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    partner   TEXT    NOT NULL,
    what      TEXT    NOT NULL,
    kept_size INTEGER NOT NULL,
    kept_root BLOB    NOT NULL,
    seen_size INTEGER NOT NULL,
    seen_root BLOB    NOT NULL,
    at        INTEGER NOT NULL,
    UNIQUE (partner, what, kept_size, kept_root, seen_size, seen_root)
) STRICT;

-- What partners answered about addresses.
CREATE TABLE contacts (
    tag        BLOB PRIMARY KEY CHECK (length(tag) = 16),
    partner    TEXT    NOT NULL,
    did        TEXT,                                               -- NULL: seal to the organisation
    salt       BLOB,                                               -- by which that DID's log names the address
    generation INTEGER,                                            -- of the last person that was named
    named      TEXT,                                               -- that person
    expires    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX contacts_expires ON contacts (expires);
