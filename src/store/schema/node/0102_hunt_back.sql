-- Signs that became known and have not been looked for in the past yet, oldest first. Either a list of them, or a base with the place up
-- to which it was looked at.
CREATE TABLE hunt_back (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  known_us INTEGER NOT NULL,      -- what was received later met them when it came
  signs TEXT NOT NULL,            -- {"signs":[{"kind","value","source"}]}; empty: a base
  base TEXT NOT NULL DEFAULT '',  -- file
  before TEXT NOT NULL DEFAULT '',  -- the base that it took the place of, whose signs were looked for already; empty: none
  place TEXT NOT NULL DEFAULT '0'
) STRICT;
