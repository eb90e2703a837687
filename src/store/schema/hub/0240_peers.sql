-- Partners with whom the hub exchanges what it knows. The secret is kept as it is: it has to be shown to the partner; no answer holds it.
CREATE TABLE exchange_peer (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE COLLATE NOCASE,
  kind TEXT NOT NULL,             -- misp, misp_feed, taxii, sentinel, defender, client
  direction TEXT NOT NULL,        -- in, out, both
  url TEXT NOT NULL,              -- empty: it comes to us
  sign_in TEXT NOT NULL,          -- none, key, basic, bearer, oauth
  user TEXT NOT NULL,             -- of basic; the client's id of oauth
  secret TEXT NOT NULL,
  options TEXT NOT NULL,          -- JSON object of the kind: collection, workspace, tenant
  -- what it may have
  ceiling TEXT NOT NULL,          -- the narrowest TLP
  kinds TEXT NOT NULL,            -- JSON array of kinds of observables; empty: all
  sectors TEXT NOT NULL,          -- JSON array; what is marked for a sector goes to peers of that sector only
  -- what we take from it, where it says nothing
  confidence INTEGER NOT NULL,
  strongest TEXT NOT NULL,        -- the strongest action that its indicators may have
  tlp TEXT NOT NULL,
  valid_days INTEGER NOT NULL,
  -- how it goes
  every_s INTEGER NOT NULL,       -- between two pulls or uploads
  state TEXT NOT NULL,            -- new, ok, away, refused, paused
  cursor TEXT NOT NULL,           -- of its kind: what was seen last, ETags
  tried_us INTEGER NOT NULL,
  ok_us INTEGER NOT NULL,
  newest_us INTEGER NOT NULL,     -- by the partner's clock, never later than ours
  error TEXT NOT NULL,
  failures INTEGER NOT NULL,      -- in a row
  taken INTEGER NOT NULL,
  demoted INTEGER NOT NULL,
  dropped INTEGER NOT NULL,
  sent INTEGER NOT NULL,
  made_by TEXT NOT NULL,
  made_us INTEGER NOT NULL
) STRICT;

-- Keys of partners who come to us: only their hashes.
CREATE TABLE exchange_key (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  peer INTEGER NOT NULL REFERENCES exchange_peer (id) ON DELETE CASCADE,
  label TEXT NOT NULL,
  may_read INTEGER NOT NULL,
  may_write INTEGER NOT NULL,
  hash TEXT NOT NULL UNIQUE,
  made_by TEXT NOT NULL,
  made_us INTEGER NOT NULL,
  revoked_us INTEGER NOT NULL     -- 0: valid
) STRICT;
CREATE INDEX exchange_key_peer ON exchange_key (peer, id);

-- Each object that was not taken, newest first and bounded; and how many for which reason, exactly.
CREATE TABLE exchange_dropped (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  peer INTEGER NOT NULL REFERENCES exchange_peer (id) ON DELETE CASCADE,
  at_us INTEGER NOT NULL,
  what TEXT NOT NULL,             -- event, attribute, indicator, bundle, page ...
  object TEXT NOT NULL,           -- the partner's id
  reason TEXT NOT NULL
) STRICT;
CREATE INDEX exchange_dropped_peer ON exchange_dropped (peer, id);
CREATE TABLE exchange_drop_count (
  peer INTEGER NOT NULL REFERENCES exchange_peer (id) ON DELETE CASCADE,
  reason TEXT NOT NULL,
  count INTEGER NOT NULL,
  first_us INTEGER NOT NULL,
  newest_us INTEGER NOT NULL,
  PRIMARY KEY (peer, reason)
) STRICT, WITHOUT ROWID;

-- Sources whose indicators go only to peers of these sectors.
CREATE TABLE exchange_sector (
  source TEXT NOT NULL,
  sector TEXT NOT NULL,
  PRIMARY KEY (source, sector)
) STRICT, WITHOUT ROWID;

-- Partners read the book in the order in which it changed.
CREATE INDEX hub_indicator_changed ON hub_indicator (added_us, id);
CREATE INDEX hub_indicator_source_changed ON hub_indicator (source, added_us, id);
-- What was withdrawn, for partners who hold a copy; bounded by retention.
CREATE TABLE exchange_gone (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL,
  value TEXT NOT NULL,
  source TEXT NOT NULL,
  tlp TEXT NOT NULL
) STRICT;
CREATE TRIGGER hub_indicator_withdrawn AFTER DELETE ON hub_indicator BEGIN
  INSERT INTO exchange_gone (kind, value, source, tlp) VALUES (old.kind, old.value, old.source, old.tlp);
  DELETE FROM exchange_gone WHERE id <= last_insert_rowid() - 100000;
END;
