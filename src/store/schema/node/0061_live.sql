-- How far the node has matched, and what each source gave. Times: microseconds UTC.
CREATE TABLE live_cursor (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  segment INTEGER NOT NULL,          -- every finding of every frame up to here is in the alerts
  frame INTEGER NOT NULL
);

CREATE TABLE live_source (
  source TEXT NOT NULL,
  municipality INTEGER NOT NULL,
  tenant INTEGER NOT NULL,
  first_at_us INTEGER NOT NULL,      -- of the first delivery
  last_at_us INTEGER NOT NULL,
  newest_happened_us INTEGER NOT NULL,
  lag_us INTEGER NOT NULL,           -- received - newest happened of the last delivery that had a time; -1: unknown
  records INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  refused INTEGER NOT NULL,
  duplicates INTEGER NOT NULL,
  PRIMARY KEY (source, municipality, tenant)
) WITHOUT ROWID;

CREATE TABLE live_source_day (
  source TEXT NOT NULL,
  municipality INTEGER NOT NULL,
  tenant INTEGER NOT NULL,
  day INTEGER NOT NULL,              -- received, since 1970, UTC
  records INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  refused INTEGER NOT NULL,
  PRIMARY KEY (source, municipality, tenant, day)
) WITHOUT ROWID;

CREATE TABLE live_refused (
  source TEXT NOT NULL,
  municipality INTEGER NOT NULL,
  tenant INTEGER NOT NULL,
  reason TEXT NOT NULL,
  count INTEGER NOT NULL,
  first TEXT NOT NULL,               -- "line 3: what was wrong"
  first_at_us INTEGER NOT NULL,
  last_at_us INTEGER NOT NULL,
  PRIMARY KEY (source, municipality, tenant, reason)
) WITHOUT ROWID;

-- Who may push into which source. The token itself is nowhere; it is random, so one hash is enough.
CREATE TABLE intake_token (
  id INTEGER PRIMARY KEY,
  source TEXT NOT NULL,
  municipality INTEGER NOT NULL,
  tenant INTEGER NOT NULL,
  format TEXT NOT NULL,              -- empty: recognised
  hash TEXT NOT NULL UNIQUE,         -- BLAKE2b-256, hex
  made_by TEXT NOT NULL,
  made_at_us INTEGER NOT NULL,
  revoked_at_us INTEGER NOT NULL     -- 0: valid
);
