-- What the desk of the joint CERT needs beside what its modules keep.

-- Reminders that went out, one row each.
CREATE TABLE warning_reminder (
  warning TEXT NOT NULL,
  municipality INTEGER NOT NULL,
  nth INTEGER NOT NULL,
  at_us INTEGER NOT NULL,
  messages INTEGER NOT NULL,      -- 0: there was nobody to tell
  PRIMARY KEY (warning, municipality, nth)
) STRICT, WITHOUT ROWID;

-- The indicators in force, one by one: what people look through. The base and the changes since (0100) are what nodes get.
CREATE TABLE hub_indicator (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL,             -- empty: a STIX pattern
  value TEXT NOT NULL,
  source TEXT NOT NULL,
  action TEXT NOT NULL,
  confidence INTEGER NOT NULL,
  tlp TEXT NOT NULL,
  valid_from_us INTEGER NOT NULL, -- 0: always
  valid_until_us INTEGER NOT NULL,-- 0: open
  comment TEXT NOT NULL,
  added_us INTEGER NOT NULL,
  added_by TEXT NOT NULL,
  UNIQUE (kind, value, source)
) STRICT;
-- Each filter that a page has, in the order that the page shows: nothing is sorted, nothing is skipped over.
CREATE INDEX hub_indicator_value ON hub_indicator (value, id);
CREATE INDEX hub_indicator_source ON hub_indicator (source, id);
CREATE INDEX hub_indicator_kind ON hub_indicator (kind, id);
CREATE INDEX hub_indicator_source_kind ON hub_indicator (source, kind, id);
CREATE INDEX hub_indicator_source_value ON hub_indicator (source, value, id);
CREATE INDEX hub_indicator_action ON hub_indicator (action, id);
-- Counted when they change: counting 350,000 rows for each look takes longer than showing them.
CREATE TABLE hub_indicator_count (
  source TEXT NOT NULL,
  kind TEXT NOT NULL,
  count INTEGER NOT NULL,
  newest_us INTEGER NOT NULL,
  PRIMARY KEY (source, kind)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER hub_indicator_added AFTER INSERT ON hub_indicator BEGIN
  INSERT INTO hub_indicator_count (source, kind, count, newest_us) VALUES (new.source, new.kind, 1, new.added_us)
    ON CONFLICT (source, kind) DO UPDATE SET count = count + 1, newest_us = max(newest_us, excluded.newest_us);
END;
CREATE TRIGGER hub_indicator_gone AFTER DELETE ON hub_indicator BEGIN
  UPDATE hub_indicator_count SET count = count - 1 WHERE source = old.source AND kind = old.kind;
END;

-- Orders that went through this hub.
CREATE TABLE hub_order (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL,
  municipality INTEGER NOT NULL,
  action TEXT NOT NULL,
  not_after_us INTEGER NOT NULL,
  signatures INTEGER NOT NULL,
  sent_us INTEGER NOT NULL,
  sent_by TEXT NOT NULL,
  shared_after INTEGER NOT NULL   -- answers have ids in hub_shared above this
) STRICT;
CREATE INDEX hub_order_id ON hub_order (id);

-- The hand-over between shifts: each version that was written.
CREATE TABLE hub_handover (
  version INTEGER PRIMARY KEY,
  text TEXT NOT NULL,
  who TEXT NOT NULL,
  at_us INTEGER NOT NULL
) STRICT;
