-- The hub's block list: what was proposed, by whom, what it would have hit, who has it, how it ended.
CREATE TABLE block_entry (
  id TEXT PRIMARY KEY,
  kind TEXT NOT NULL,
  value TEXT NOT NULL,            -- canonical
  action TEXT NOT NULL,           -- watch, warn, hold, block
  reason TEXT NOT NULL,
  campaign TEXT NOT NULL,
  state TEXT NOT NULL,            -- preview, waits, stage_1, stage_5, in_force; over, stopped, rolled_back, refused
  exact INTEGER NOT NULL,
  needs_two INTEGER NOT NULL,
  needs_two_why TEXT NOT NULL,
  proposed_by TEXT NOT NULL,
  approved_by TEXT NOT NULL,      -- the second person; empty: none
  created_us INTEGER NOT NULL,
  seconds INTEGER NOT NULL,       -- how long, from when it goes out
  from_us INTEGER NOT NULL,       -- 0: not out
  until_us INTEGER NOT NULL,
  ended_us INTEGER NOT NULL,      -- 0: not ended
  ended_by TEXT NOT NULL,
  ended_why TEXT NOT NULL,
  stage_from_us INTEGER NOT NULL,
  sent_us INTEGER NOT NULL,       -- of the last change sent: rises
  renewals INTEGER NOT NULL,
  renew_by TEXT NOT NULL,         -- a renewal that waits for the second person
  renew_seconds INTEGER NOT NULL
) STRICT;
-- One entry a thing, as long as it has not ended.
CREATE UNIQUE INDEX block_entry_open ON block_entry (kind, value) WHERE ended_us = 0;
CREATE INDEX block_entry_created ON block_entry (created_us);
-- What one municipality said of an entry, and whether it has it.
CREATE TABLE block_part (
  entry TEXT NOT NULL,
  municipality INTEGER NOT NULL,
  asked_us INTEGER NOT NULL,      -- 0: not asked
  answered_us INTEGER,
  hits INTEGER NOT NULL,
  people INTEGER NOT NULL,
  days INTEGER NOT NULL,
  can TEXT NOT NULL,
  stage INTEGER NOT NULL,         -- 1, 5, 100: in which it got it; 0: not
  sent INTEGER NOT NULL,          -- it has it now
  state TEXT NOT NULL,
  why TEXT NOT NULL,
  looked INTEGER NOT NULL,        -- it counted hits since it has it
  hits_since INTEGER NOT NULL,
  people_since INTEGER NOT NULL,
  PRIMARY KEY (entry, municipality)
) STRICT;
-- Stopped for one municipality, or (0) for everybody.
CREATE TABLE block_kill (
  municipality INTEGER PRIMARY KEY,
  by_person TEXT NOT NULL,
  why TEXT NOT NULL,
  at_us INTEGER NOT NULL
) STRICT;
