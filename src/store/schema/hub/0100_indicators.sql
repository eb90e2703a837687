-- Indicators published since the last base, in order; a base takes them in. The base itself is a file (beacon/).
CREATE TABLE hub_indicator_delta (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  at_us INTEGER NOT NULL,
  who TEXT NOT NULL,
  payload TEXT NOT NULL           -- as on the wire: {"add":[...],"remove":[...]}
) STRICT;
-- Content that is in force besides indicators: a new node gets it with the base.
CREATE TABLE hub_content (
  kind TEXT NOT NULL,             -- rules, settings
  name TEXT NOT NULL,
  payload TEXT NOT NULL,
  at_us INTEGER NOT NULL,
  PRIMARY KEY (kind, name)
) STRICT;
CREATE TABLE hub_base (
  audience TEXT PRIMARY KEY,
  file TEXT NOT NULL,
  size INTEGER NOT NULL,          -- indicators
  made_at_us INTEGER NOT NULL,
  upto_delta INTEGER NOT NULL     -- hub_indicator_delta up to here are in it
) STRICT;
-- A test beacon, and who answered.
CREATE TABLE hub_test_beacon (
  id TEXT PRIMARY KEY,
  sent_at_us INTEGER NOT NULL,
  municipality INTEGER NOT NULL,  -- 0: all
  who TEXT NOT NULL
) STRICT;
CREATE TABLE hub_answer (
  beacon TEXT NOT NULL,
  node TEXT NOT NULL,
  municipality INTEGER NOT NULL,
  applied_at_us INTEGER NOT NULL, -- the node's clock
  received_at_us INTEGER NOT NULL,
  hits INTEGER,                   -- of what the beacon asked for; null: nothing was asked
  PRIMARY KEY (beacon, node, municipality)
) STRICT;
-- What nodes told of themselves last, one row a kind.
CREATE TABLE hub_node_report (
  node TEXT NOT NULL,
  municipality INTEGER NOT NULL,
  kind TEXT NOT NULL,             -- health, counts
  at_us INTEGER NOT NULL,
  received_at_us INTEGER NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (node, municipality, kind)
) STRICT;
-- Alerts and sightings that municipalities shared.
CREATE TABLE hub_shared (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  node TEXT NOT NULL,
  item TEXT NOT NULL,             -- the sender's id
  kind TEXT NOT NULL,
  municipality INTEGER NOT NULL,
  tlp TEXT NOT NULL,
  at_us INTEGER NOT NULL,
  received_at_us INTEGER NOT NULL,
  body TEXT NOT NULL,
  UNIQUE (node, item)
) STRICT;
