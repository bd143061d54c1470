-- Who released what the judge held: his holds are answered by that until somebody holds the row again. His refusals are not.
ALTER TABLE rows ADD COLUMN approved_by TEXT;
