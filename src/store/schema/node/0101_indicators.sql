-- Indicators that came since the base this node uses; a new base takes them in.
CREATE TABLE node_indicator_delta (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  audience TEXT NOT NULL,
  seq INTEGER NOT NULL,           -- of the bulk entry
  payload TEXT NOT NULL
) STRICT;
CREATE INDEX node_indicator_delta_seq ON node_indicator_delta (audience, seq);
CREATE TABLE node_base (
  audience TEXT PRIMARY KEY,
  file TEXT NOT NULL,
  covers_seq INTEGER NOT NULL,
  at_us INTEGER NOT NULL
) STRICT;
-- Rules and settings from the hub.
CREATE TABLE node_content (
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  payload TEXT NOT NULL,
  at_us INTEGER NOT NULL,
  PRIMARY KEY (kind, name)
) STRICT;
-- Warnings and other urgent words from the hub, as they came.
CREATE TABLE node_inbox (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  stream TEXT NOT NULL,
  seq INTEGER NOT NULL,
  kind TEXT NOT NULL,
  at_us INTEGER NOT NULL,
  payload TEXT NOT NULL,
  UNIQUE (stream, seq)
) STRICT;
-- Events of which the hub was told.
CREATE TABLE node_told (
  event INTEGER PRIMARY KEY,
  at_us INTEGER NOT NULL
) STRICT;
