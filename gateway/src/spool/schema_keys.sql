-- The spool, version 2: keys that open arrived messages, and the storage keys that they rest under. Custody writes
-- them; the spool claims a one-time key for the first row that needs it and destroys it with that row's end.
-- Everything deleted here is deleted for ever: zeroed in its page, and the log is folded back soon after.

-- Version 1 sealed prekeys under keys.storage, which outlives them. They are made anew, one for each mechanism.
DROP TABLE prekeys;
CREATE TABLE prekeys (
    key_id     BLOB    PRIMARY KEY,
    epoch      INTEGER NOT NULL,
    kem        INTEGER NOT NULL,                         -- the first suite that chooses the mechanism
    not_before INTEGER NOT NULL,
    expires    INTEGER NOT NULL,
    sealed     BLOB    NOT NULL
) STRICT;

-- What the private keys of one day rest under. Sealed under the day key (keys/day.key), which is outside
-- this database and replaced daily.
CREATE TABLE storage_keys (
    use    INTEGER NOT NULL CHECK (use IN (0, 1)),      -- 0 epoch prekeys of the day, 1 one-time keys made on the day
    epoch  INTEGER NOT NULL,
    sealed BLOB    NOT NULL,
    PRIMARY KEY (use, epoch)
) STRICT;

-- One-time keys are signed together; this is what they share.
CREATE TABLE one_time_batches (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    kem     INTEGER NOT NULL,                            -- as in prekeys
    epoch   INTEGER NOT NULL,                            -- the day of the storage key
    expires INTEGER NOT NULL,                            -- nobody may seal to them from then on
    root    BLOB    NOT NULL                             -- the signed record
) STRICT;

-- From its making to the end of the row that it opened. `offer` is what a partner is given; it goes when it was given.
CREATE TABLE one_time_keys (
    seq        INTEGER PRIMARY KEY,
    key_id     BLOB    NOT NULL UNIQUE CHECK (length(key_id) = 16),
    batch      INTEGER NOT NULL REFERENCES one_time_batches (id) ON DELETE CASCADE,
    sealed     BLOB    NOT NULL,
    offer      BLOB,
    served_to  TEXT,
    claimed_by INTEGER
) STRICT;
CREATE INDEX one_time_stock   ON one_time_keys (batch)      WHERE served_to IS NULL;
CREATE INDEX one_time_served  ON one_time_keys (served_to)  WHERE served_to IS NOT NULL AND claimed_by IS NULL;
CREATE INDEX one_time_claimed ON one_time_keys (claimed_by) WHERE claimed_by IS NOT NULL;

-- How many one-time keys were used up, ever. The key file beside the database remembers it too: a database that counts
-- less was restored, and its one-time keys may have been used since.
CREATE TABLE one_time_uses (
    id   INTEGER PRIMARY KEY CHECK (id = 1),
    uses INTEGER NOT NULL
) STRICT;
INSERT INTO one_time_uses (id, uses) VALUES (1, 0);

-- How many keys a partner was given on a day.
CREATE TABLE one_time_given (
    partner TEXT    NOT NULL,
    day     INTEGER NOT NULL,
    keys    INTEGER NOT NULL,
    PRIMARY KEY (partner, day)
) STRICT, WITHOUT ROWID;

-- The weakest suite for a partner, both ways; without a row it is the house's.
CREATE TABLE partner_minimums (
    did   TEXT PRIMARY KEY,
    suite INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
