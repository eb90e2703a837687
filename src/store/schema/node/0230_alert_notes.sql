-- What people wrote of an alert, oldest first; kept as long as the alert.
CREATE TABLE alert_note (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  alert INTEGER NOT NULL REFERENCES alert (id) ON DELETE CASCADE,
  at_us INTEGER NOT NULL,
  by_whom TEXT NOT NULL,
  kind TEXT NOT NULL,                -- note, acknowledged, closed
  text TEXT NOT NULL,
  was TEXT NOT NULL                  -- of closed: attack, test, harmless, false
) STRICT;
CREATE INDEX alert_note_of ON alert_note (alert, id);
-- What a closed one was, as a person said; empty: nobody said.
ALTER TABLE alert ADD COLUMN was TEXT NOT NULL DEFAULT '';
