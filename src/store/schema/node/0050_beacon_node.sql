-- The streams down, the spool and what left, at a node (src/beacon/README.md).

CREATE TABLE beacon_cursor (
  stream TEXT PRIMARY KEY,
  epoch INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  hash BLOB NOT NULL,
  at_us INTEGER NOT NULL
) STRICT;

-- One row. fork_*: the two signed things that cannot both be true; stream empty: none.
CREATE TABLE beacon_follow (
  only INTEGER PRIMARY KEY CHECK (only = 1),
  urgent INTEGER NOT NULL,
  bulk INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  fork_stream TEXT NOT NULL DEFAULT '',
  fork_seq INTEGER NOT NULL DEFAULT 0,
  fork_known BLOB NOT NULL DEFAULT x'',
  fork_offered BLOB NOT NULL DEFAULT x'',
  fork_why TEXT NOT NULL DEFAULT ''
) STRICT;
INSERT INTO beacon_follow (only, urgent, bulk, epoch) VALUES (1, 0, 0, 0);

-- Hash and signed head of what was applied, the last some thousand of each stream: proof, should the hub sign something else later.
CREATE TABLE beacon_applied (
  stream TEXT NOT NULL,
  seq INTEGER NOT NULL,
  hash BLOB NOT NULL,
  head BLOB NOT NULL,
  signature BLOB NOT NULL,
  PRIMARY KEY (stream, seq)
) STRICT;

-- What was refused, with the reason. Bounded: the oldest go.
CREATE TABLE beacon_evidence (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  at_us INTEGER NOT NULL,
  stream TEXT NOT NULL,
  seq INTEGER NOT NULL,
  why TEXT NOT NULL,
  entry BLOB NOT NULL
) STRICT;

-- The newest verified base of an audience, and the one before (its file stays until no process maps it).
CREATE TABLE beacon_base (
  audience TEXT PRIMARY KEY,
  seq INTEGER NOT NULL,
  file TEXT NOT NULL,
  previous_file TEXT NOT NULL,
  covers_seq INTEGER NOT NULL
) STRICT;

-- What the hub does not have yet. worth: 0 goes first and is never dropped. batch 0: in none yet.
CREATE TABLE spool (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  worth INTEGER NOT NULL,
  kind TEXT NOT NULL,
  municipality INTEGER NOT NULL,
  tlp TEXT NOT NULL,
  body TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  at_us INTEGER NOT NULL,
  batch INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX spool_next ON spool (batch, worth, id);
CREATE INDEX spool_kind ON spool (kind, municipality, batch, id);

-- Batches that were made and not acknowledged. name: the id on the wire; its items are spool rows, each with its text in left_item.
CREATE TABLE spool_batch (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  worth INTEGER NOT NULL,
  at_us INTEGER NOT NULL
) STRICT;

-- One row. incarnation: part of every item's id, so that a restored node never uses an id again.
CREATE TABLE spool_mark (
  only INTEGER PRIMARY KEY CHECK (only = 1),
  incarnation TEXT NOT NULL DEFAULT '',
  waiting INTEGER NOT NULL DEFAULT 0,
  waiting_bytes INTEGER NOT NULL DEFAULT 0,
  merged INTEGER NOT NULL DEFAULT 0,
  dropped_evidence INTEGER NOT NULL DEFAULT 0,
  dropped_counted INTEGER NOT NULL DEFAULT 0,
  refused INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO spool_mark (only) VALUES (1);

-- "What left us".
CREATE TABLE left_item (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  item TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL,
  municipality INTEGER NOT NULL,
  tlp TEXT NOT NULL,
  text TEXT NOT NULL,
  "to" TEXT NOT NULL,
  at_us INTEGER NOT NULL,
  acknowledged_us INTEGER,
  refused TEXT
) STRICT;
CREATE INDEX left_item_at ON left_item (at_us);
CREATE TABLE left_request (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  at_us INTEGER NOT NULL,
  purpose TEXT NOT NULL,
  method TEXT NOT NULL,
  host TEXT NOT NULL,
  path TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  body_hash TEXT NOT NULL
) STRICT;
CREATE INDEX left_request_at ON left_request (at_us);
