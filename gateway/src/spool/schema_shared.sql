-- The spool, version 10: copies in the archive and mail in agents' inboxes refer to large bodies, as rows do. The last reference
-- that goes, whichever and however, leaves the body over: to be swept.

ALTER TABLE archive ADD COLUMN large BLOB REFERENCES large_bodies (id);
CREATE INDEX archive_large ON archive (large) WHERE large IS NOT NULL;

-- `octets` then has how the mail is read from it.
ALTER TABLE agent_messages ADD COLUMN large BLOB REFERENCES large_bodies (id);
CREATE INDEX agent_messages_large ON agent_messages (large) WHERE large IS NOT NULL;
CREATE TRIGGER agent_message_has_its_body BEFORE INSERT ON agent_messages
    WHEN NEW.large IS NOT NULL AND NOT EXISTS (SELECT 1 FROM large_bodies WHERE id = NEW.large AND standing = 1) BEGIN
    SELECT RAISE(ABORT, 'the large body of this mail is gone');
END;

CREATE VIEW large_referred (body) AS
    SELECT large FROM rows WHERE large IS NOT NULL
    UNION ALL SELECT large FROM archive WHERE large IS NOT NULL
    UNION ALL SELECT large FROM agent_messages WHERE large IS NOT NULL;

-- Without a row a body has no name any more: whoever looks through the archive learns no partner from it.
CREATE TRIGGER large_left_by_row AFTER UPDATE OF large ON rows WHEN OLD.large IS NOT NULL AND NEW.large IS NOT OLD.large BEGIN
    UPDATE large_bodies SET partner = NULL, digest = NULL,
        standing = CASE WHEN EXISTS (SELECT 1 FROM large_referred WHERE body = OLD.large) THEN 1 ELSE 2 END
    WHERE id = OLD.large AND NOT EXISTS (SELECT 1 FROM rows WHERE large = OLD.large);
END;
CREATE TRIGGER large_left_by_copy AFTER DELETE ON archive WHEN OLD.large IS NOT NULL BEGIN
    UPDATE large_bodies SET standing = 2, partner = NULL, digest = NULL
    WHERE id = OLD.large AND NOT EXISTS (SELECT 1 FROM large_referred WHERE body = OLD.large);
END;
CREATE TRIGGER large_left_by_inbox AFTER UPDATE OF large ON agent_messages WHEN OLD.large IS NOT NULL AND NEW.large IS NOT OLD.large BEGIN
    UPDATE large_bodies SET standing = 2, partner = NULL, digest = NULL
    WHERE id = OLD.large AND NOT EXISTS (SELECT 1 FROM large_referred WHERE body = OLD.large);
END;
CREATE TRIGGER large_left_by_agent AFTER DELETE ON agent_messages WHEN OLD.large IS NOT NULL BEGIN
    UPDATE large_bodies SET standing = 2, partner = NULL, digest = NULL
    WHERE id = OLD.large AND NOT EXISTS (SELECT 1 FROM large_referred WHERE body = OLD.large);
END;
