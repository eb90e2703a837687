-- Events of MISP communities. What searches need stands in columns; the rest of each thing is its own JSON in `body`, with members that nobody
-- here knows. Timestamps of MISP are seconds.
CREATE TABLE misp_org (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  uuid TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  local INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE misp_event (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  uuid TEXT NOT NULL UNIQUE,
  whole INTEGER NOT NULL,             -- 0: still being written, nobody sees it
  info TEXT NOT NULL,
  date TEXT NOT NULL,                 -- YYYY-MM-DD
  orgc INTEGER NOT NULL,              -- who wrote it
  timestamp INTEGER NOT NULL,
  publish_timestamp INTEGER NOT NULL,
  published INTEGER NOT NULL,
  sighting_timestamp INTEGER NOT NULL DEFAULT 0,
  threat_level INTEGER NOT NULL,
  analysis INTEGER NOT NULL,
  tlp INTEGER NOT NULL,               -- of its tags: 0 clear .. 4 red
  closed INTEGER NOT NULL,            -- 1: its distribution names those who may have it, and partners are not among them
  sectors TEXT NOT NULL DEFAULT '[]', -- JSON: only for partners of these
  owner TEXT NOT NULL,                -- Scope::who() of who brought it; only they change it when it is locked
  peer INTEGER NOT NULL DEFAULT 0,    -- of exchange_peer; 0: ours
  locked INTEGER NOT NULL DEFAULT 0,  -- came from another machine: changed there
  said_published TEXT NOT NULL DEFAULT '', -- of a feed's event: what its author wrote, for the feed we give
  attribute_count INTEGER NOT NULL DEFAULT 0,
  changed_us INTEGER NOT NULL,
  body TEXT NOT NULL
) STRICT;
CREATE INDEX misp_event_timestamp ON misp_event (timestamp);
CREATE INDEX misp_event_date ON misp_event (date);
CREATE INDEX misp_event_changed ON misp_event (changed_us);
CREATE TABLE misp_object (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  event INTEGER NOT NULL,
  uuid TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  timestamp INTEGER NOT NULL,
  deleted INTEGER NOT NULL,
  closed INTEGER NOT NULL,
  body TEXT NOT NULL
) STRICT;
CREATE INDEX misp_object_event ON misp_object (event);
CREATE TABLE misp_attribute (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  event INTEGER NOT NULL,
  object INTEGER NOT NULL,            -- 0: none
  uuid TEXT NOT NULL UNIQUE,
  type TEXT NOT NULL,
  category TEXT NOT NULL,
  value1 TEXT NOT NULL,               -- lower case, cut after 1,000 bytes; both parts of a|b
  value2 TEXT NOT NULL,
  to_ids INTEGER NOT NULL,
  timestamp INTEGER NOT NULL,
  deleted INTEGER NOT NULL,
  tlp INTEGER NOT NULL,               -- of its own tags; 0 without
  closed INTEGER NOT NULL,
  body TEXT NOT NULL
) STRICT;
CREATE INDEX misp_attribute_event ON misp_attribute (event, object);
CREATE INDEX misp_attribute_value1 ON misp_attribute (value1);
CREATE INDEX misp_attribute_value2 ON misp_attribute (value2) WHERE value2 <> '';
CREATE TABLE misp_reference (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  event INTEGER NOT NULL,
  object INTEGER NOT NULL,
  uuid TEXT NOT NULL UNIQUE,
  referenced TEXT NOT NULL,           -- uuid; it need not be here
  timestamp INTEGER NOT NULL,
  deleted INTEGER NOT NULL,
  body TEXT NOT NULL
) STRICT;
CREATE INDEX misp_reference_object ON misp_reference (object);
CREATE INDEX misp_reference_event ON misp_reference (event);
CREATE TABLE misp_tag (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE COLLATE NOCASE,
  colour TEXT NOT NULL,
  exportable INTEGER NOT NULL DEFAULT 1
) STRICT;
CREATE TABLE misp_tagged (
  event INTEGER NOT NULL,
  attribute INTEGER NOT NULL,         -- 0: the event itself
  tag INTEGER NOT NULL,
  local INTEGER NOT NULL,
  local_text INTEGER NOT NULL DEFAULT 0,  -- came as "0" in quotes: a feed gives it back so
  place INTEGER NOT NULL DEFAULT 0,   -- in the order they came
  relationship TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (event, attribute, tag)
) STRICT, WITHOUT ROWID;
CREATE INDEX misp_tagged_tag ON misp_tagged (tag);
CREATE TABLE misp_sighting (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  uuid TEXT NOT NULL UNIQUE,
  event INTEGER NOT NULL,
  attribute INTEGER NOT NULL,
  type INTEGER NOT NULL,              -- 0 seen, 1 false positive, 2 expired
  source TEXT NOT NULL,
  at INTEGER NOT NULL,
  org INTEGER NOT NULL,
  owner TEXT NOT NULL
) STRICT;
CREATE INDEX misp_sighting_event ON misp_sighting (event);
CREATE INDEX misp_sighting_attribute ON misp_sighting (attribute);
-- Deleted here: a feed or a partner does not bring it back.
CREATE TABLE misp_gone (
  uuid TEXT PRIMARY KEY,
  at_us INTEGER NOT NULL,
  who TEXT NOT NULL
) STRICT, WITHOUT ROWID;
-- Taxonomies and warninglists that were switched; the rest is as it ships.
CREATE TABLE misp_switch (
  kind TEXT NOT NULL,                 -- taxonomy, warninglist
  name TEXT NOT NULL,
  enabled INTEGER NOT NULL,
  PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;
-- What a published event gave to the indicators, so that it can be withdrawn.
CREATE TABLE misp_indicator (
  event INTEGER NOT NULL,
  kind TEXT NOT NULL,
  value TEXT NOT NULL,
  source TEXT NOT NULL,
  peer INTEGER NOT NULL,
  fresh INTEGER NOT NULL,             -- of the round that saw it last
  PRIMARY KEY (event, kind, value, source)
) STRICT, WITHOUT ROWID;
CREATE INDEX misp_indicator_value ON misp_indicator (value, kind, source);
-- How far our own indicators were written as events.
CREATE TABLE misp_cursor (
  name TEXT PRIMARY KEY,
  at_us INTEGER NOT NULL,
  id INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
