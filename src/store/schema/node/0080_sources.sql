-- What sources say about themselves, and how far followed files were read. Times: microseconds UTC.
CREATE TABLE source_status (
  source TEXT PRIMARY KEY,
  state TEXT NOT NULL,               -- starting, working, waiting, failing, off
  text TEXT NOT NULL,                -- for people; empty when working
  at_us INTEGER NOT NULL,            -- when it was said
  since_us INTEGER NOT NULL,         -- of this state
  last_success_us INTEGER NOT NULL,  -- 0: never
  lag_seconds INTEGER NOT NULL,      -- -1: unknown
  cursor TEXT NOT NULL
) STRICT;

-- Every change of state, oldest first; the last 1,000 of a source are kept.
CREATE TABLE source_change (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  source TEXT NOT NULL,
  at_us INTEGER NOT NULL,
  state TEXT NOT NULL,
  text TEXT NOT NULL
) STRICT;
CREATE INDEX source_change_source ON source_change (source, id);

-- What a source left out before any sink saw it.
CREATE TABLE source_refused (
  source TEXT NOT NULL,
  reason TEXT NOT NULL,
  count INTEGER NOT NULL,
  first TEXT NOT NULL,               -- place and beginning of the first
  first_at_us INTEGER NOT NULL,
  last_at_us INTEGER NOT NULL,
  PRIMARY KEY (source, reason)
) STRICT;

-- One row a life of a file: src/input/sources/files/cursors.hpp says what the columns mean.
CREATE TABLE file_cursor (
  source TEXT NOT NULL,
  life INTEGER NOT NULL,
  path TEXT NOT NULL,
  device INTEGER NOT NULL,
  inode INTEGER NOT NULL,
  head_length INTEGER NOT NULL,
  head_hash INTEGER NOT NULL,
  tail_length INTEGER NOT NULL,
  tail_hash INTEGER NOT NULL,
  at INTEGER NOT NULL,
  offered INTEGER NOT NULL,
  shape INTEGER NOT NULL,
  encoding INTEGER NOT NULL,
  skipping INTEGER NOT NULL,
  over INTEGER NOT NULL,
  complete INTEGER NOT NULL,
  context TEXT NOT NULL,
  updated_us INTEGER NOT NULL,
  PRIMARY KEY (source, life)
) STRICT;
