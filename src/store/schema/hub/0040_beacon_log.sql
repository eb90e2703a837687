-- The streams down and the reports up, at the hub (src/beacon/README.md).

-- The end of each stream: what the next entry stands on.
CREATE TABLE beacon_stream (
  name TEXT PRIMARY KEY,
  epoch INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  hash BLOB NOT NULL
) STRICT;

-- lane: urgent, bulk or base; position counts within the lane over all its streams (the two numbers of an SSE id).
-- entry: as it goes over the wire. file, items: names in the beacon's folder of what its payload refers to.
CREATE TABLE beacon_entry (
  lane TEXT NOT NULL,
  position INTEGER NOT NULL,
  stream TEXT NOT NULL,
  seq INTEGER NOT NULL,
  kind TEXT NOT NULL,
  entry BLOB NOT NULL,
  at_us INTEGER NOT NULL,
  file TEXT NOT NULL,
  items TEXT NOT NULL,
  PRIMARY KEY (lane, position),
  UNIQUE (stream, seq)
) STRICT;

-- Bulk items that wait for their segment.
CREATE TABLE beacon_waiting (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  audience TEXT NOT NULL,
  kind TEXT NOT NULL,
  payload BLOB NOT NULL,
  at_us INTEGER NOT NULL,
  not_after_us INTEGER NOT NULL
) STRICT;
CREATE INDEX beacon_waiting_audience ON beacon_waiting (audience, id);

-- What a publisher asked for under an id of its own: asked again, it is not published again. seq 0: it waits, or is in a segment.
CREATE TABLE beacon_posted (
  id TEXT PRIMARY KEY,
  stream TEXT NOT NULL,
  seq INTEGER NOT NULL,
  position INTEGER NOT NULL,
  at_us INTEGER NOT NULL
) STRICT;

-- Batches answered and items that had their effect.
CREATE TABLE beacon_batch (
  node TEXT NOT NULL,
  batch TEXT NOT NULL,
  answer TEXT NOT NULL,
  at_us INTEGER NOT NULL,
  PRIMARY KEY (node, batch)
) STRICT;
CREATE INDEX beacon_batch_at ON beacon_batch (at_us);
CREATE TABLE beacon_item (
  node TEXT NOT NULL,
  item TEXT NOT NULL,
  at_us INTEGER NOT NULL,
  PRIMARY KEY (node, item)
) STRICT, WITHOUT ROWID;
CREATE INDEX beacon_item_at ON beacon_item (at_us);

-- How much a node sent on a day (days since 1970).
CREATE TABLE beacon_day (
  node TEXT NOT NULL,
  day INTEGER NOT NULL,
  items INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  PRIMARY KEY (node, day)
) STRICT;

-- What was heard from a node last. witness_key: pinned at its first ping; empty before.
CREATE TABLE beacon_node (
  node TEXT PRIMARY KEY,
  last_ping_us INTEGER NOT NULL DEFAULT 0,
  last_report_us INTEGER NOT NULL DEFAULT 0,
  offset_us INTEGER NOT NULL DEFAULT 0,
  round_trip_us INTEGER NOT NULL DEFAULT 0,
  version TEXT NOT NULL DEFAULT '',
  trouble TEXT NOT NULL DEFAULT '',
  witness_key TEXT NOT NULL DEFAULT ''
) STRICT;
