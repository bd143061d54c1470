-- The spool, version 7: agents, and the mail that waits for them. The agents room writes all of it. Addresses and mail rest
-- sealed.

-- A piece of software with an address of ours. Its DID stands in `people`, under the same address.
CREATE TABLE agents (
    seq      INTEGER PRIMARY KEY,
    id       BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),  -- the half of its token that names it
    tag      BLOB    NOT NULL UNIQUE CHECK (length(tag) = 16), -- of the address
    sealed   BLOB    NOT NULL,                                 -- address and display name
    token    BLOB    NOT NULL CHECK (length(token) = 32),      -- SHA-256 of the secret half
    added_at INTEGER NOT NULL
) STRICT;

-- One mail for one agent. What an agent has acknowledged keeps its place without its content for a while, so that a
-- delivery which is tried again after a crash does not deliver twice, and an answer finds what it answers.
CREATE TABLE agent_messages (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    agent      BLOB    NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    id         BLOB    NOT NULL CHECK (length(id) = 16),       -- of the row that brought it
    name_tag   BLOB,                                           -- of the Message-ID
    answers    INTEGER NOT NULL,                               -- machines that answered each other before it
    arrived_at INTEGER NOT NULL,
    bytes      INTEGER NOT NULL,                               -- of the mail; 0 once acknowledged
    facts      BLOB,                                           -- NULL once acknowledged
    octets     BLOB,
    UNIQUE (agent, id)
) STRICT;
CREATE INDEX agent_messages_waiting ON agent_messages (agent, seq, bytes) WHERE facts IS NOT NULL;
CREATE INDEX agent_messages_name    ON agent_messages (agent, name_tag)   WHERE name_tag IS NOT NULL;
CREATE INDEX agent_messages_ended   ON agent_messages (arrived_at)        WHERE facts IS NULL;
