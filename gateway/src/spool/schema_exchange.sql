-- What is remembered of mail domains outside of the overlay.

-- MTA-STS policies (RFC 8461) while they hold: who can keep us from asking must not switch them off by a restart.
CREATE TABLE sts_policies (
    domain     TEXT PRIMARY KEY NOT NULL,
    id         TEXT NOT NULL,              -- the edition, from the TXT record
    policy     TEXT NOT NULL,              -- the lines of the file
    fetched_at INTEGER NOT NULL,           -- Unix milliseconds
    ends_at    INTEGER NOT NULL            -- fetched_at + max_age
) STRICT, WITHOUT ROWID;
CREATE INDEX sts_policies_ends ON sts_policies (ends_at);

-- How TLS with each domain went, for the reports of RFC 8460. Nothing here tells of a mail or of a person.
CREATE TABLE tls_results (
    day      INTEGER NOT NULL,             -- in UTC, since 1 January 1970
    domain   TEXT NOT NULL,
    tally    TEXT NOT NULL,                -- JSON: policy and failure
    sessions INTEGER NOT NULL,
    PRIMARY KEY (day, domain, tally)
) STRICT, WITHOUT ROWID;
