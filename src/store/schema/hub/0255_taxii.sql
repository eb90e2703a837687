-- The hub as a TAXII 2.1 server: who it is, the objects, what happened to what partners sent.
CREATE TABLE taxii_self (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  uuid TEXT NOT NULL,             -- identity--UUID, and what every other id is made from
  secret TEXT NOT NULL,           -- hex; positions in a collection are signed with it
  since_us INTEGER NOT NULL,
  last_added_us INTEGER NOT NULL  -- the newest date_added ever given, also of what is gone
) STRICT;

-- pool 0: what we know, made of the book's row when it is read; else what the peer of that id sent, as it came.
CREATE TABLE taxii_object (
  added_us INTEGER PRIMARY KEY,   -- date_added: unique, and never before one that was given earlier
  pool INTEGER NOT NULL,
  id TEXT NOT NULL,
  type TEXT NOT NULL,
  spec TEXT NOT NULL,             -- 2.1, 2.0
  version TEXT NOT NULL,          -- as the object says it; empty: it has none, added_us stands for it
  version_us INTEGER NOT NULL,
  created_us INTEGER NOT NULL,    -- of pool 0
  tlp INTEGER NOT NULL,           -- event::Tlp; a later, narrower version makes the earlier ones as narrow
  kind TEXT NOT NULL,             -- of an observable, of pool 0
  sectors TEXT NOT NULL,          -- JSON array; empty: for everybody
  source TEXT NOT NULL,           -- of pool 0
  book INTEGER NOT NULL,          -- hub_indicator.id; 0: not of the book
  body TEXT NOT NULL,             -- empty: made of the book's row
  digest TEXT NOT NULL,           -- of a peer's: what it says, whatever the order of its members
  batch TEXT NOT NULL,            -- of a peer's: the status resource it came with
  state TEXT NOT NULL,            -- new: an indicator that is to be published; published, not_evaluated, older, refused; revoked; else empty
  why TEXT NOT NULL,
  UNIQUE (pool, id, version_us)
) STRICT;
CREATE INDEX taxii_object_pool ON taxii_object (pool, added_us);
CREATE INDEX taxii_object_book ON taxii_object (book) WHERE book > 0;
CREATE INDEX taxii_object_new ON taxii_object (batch, added_us) WHERE state = 'new';
-- Who brought an id first owns it: nobody rewrites another's object in what is passed on.
CREATE INDEX taxii_object_owner ON taxii_object (id, added_us) WHERE pool > 0;
CREATE INDEX taxii_object_passed_on ON taxii_object (added_us) WHERE pool > 0 AND tlp <= 1;

CREATE TABLE taxii_status (
  id TEXT PRIMARY KEY,
  peer INTEGER NOT NULL,
  at_us INTEGER NOT NULL,
  body TEXT NOT NULL
) STRICT;
CREATE INDEX taxii_status_at ON taxii_status (at_us);

-- Rows of the book whose objects are not up to date. Of one that is no longer there, what it was.
CREATE TABLE taxii_dirty (
  book INTEGER PRIMARY KEY,
  gone INTEGER NOT NULL DEFAULT 0,
  kind TEXT NOT NULL DEFAULT '',
  value TEXT NOT NULL DEFAULT '',
  source TEXT NOT NULL DEFAULT '',
  action TEXT NOT NULL DEFAULT '',
  confidence INTEGER NOT NULL DEFAULT 0,
  tlp TEXT NOT NULL DEFAULT '',
  valid_from_us INTEGER NOT NULL DEFAULT 0,
  valid_until_us INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO taxii_dirty (book) SELECT id FROM hub_indicator;
CREATE TRIGGER taxii_book_added AFTER INSERT ON hub_indicator BEGIN
  INSERT OR REPLACE INTO taxii_dirty (book) VALUES (new.id);
END;
CREATE TRIGGER taxii_book_changed AFTER UPDATE ON hub_indicator
WHEN new.action <> old.action OR new.confidence <> old.confidence OR new.tlp <> old.tlp OR new.valid_from_us <> old.valid_from_us
  OR new.valid_until_us <> old.valid_until_us OR new.comment <> old.comment BEGIN
  INSERT OR REPLACE INTO taxii_dirty (book) VALUES (new.id);
END;
CREATE TRIGGER taxii_book_gone AFTER DELETE ON hub_indicator BEGIN
  INSERT OR REPLACE INTO taxii_dirty (book, gone, kind, value, source, action, confidence, tlp, valid_from_us, valid_until_us)
    VALUES (old.id, 1, old.kind, old.value, old.source, old.action, old.confidence, old.tlp, old.valid_from_us, old.valid_until_us);
END;
CREATE TRIGGER taxii_sector_added AFTER INSERT ON exchange_sector BEGIN
  INSERT OR IGNORE INTO taxii_dirty (book) SELECT id FROM hub_indicator WHERE source = new.source;
END;
CREATE TRIGGER taxii_sector_gone AFTER DELETE ON exchange_sector BEGIN
  INSERT OR IGNORE INTO taxii_dirty (book) SELECT id FROM hub_indicator WHERE source = old.source;
END;
CREATE TRIGGER taxii_peer_gone AFTER DELETE ON exchange_peer BEGIN
  DELETE FROM taxii_object WHERE pool = old.id;
  DELETE FROM taxii_status WHERE peer = old.id;
END;
