-- Keys of digest epochs as they came: sealed. The node's own key file opens them.
CREATE TABLE node_digest_key (
  epoch INTEGER PRIMARY KEY,
  from_us INTEGER NOT NULL,       -- of a reserve: when it came
  until_us INTEGER NOT NULL,
  replaces INTEGER NOT NULL,      -- 1: every epoch below ended when this came
  payload TEXT NOT NULL           -- the entry, as signed by a steward
) STRICT;
-- What is kept of things whose digests were told: no more than may be shown.
CREATE TABLE node_digest_thing (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  municipality INTEGER NOT NULL,
  thing INTEGER NOT NULL,         -- keyed hash, the memory's
  kind TEXT NOT NULL,             -- url, attachment
  scheme TEXT NOT NULL,
  host TEXT NOT NULL,
  path TEXT NOT NULL,
  file_name TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  sender_domains TEXT NOT NULL,   -- members' domains, blanks between
  first_us INTEGER NOT NULL,
  last_us INTEGER NOT NULL,
  mails INTEGER NOT NULL,
  UNIQUE (municipality, thing)
) STRICT;
CREATE INDEX node_digest_thing_last ON node_digest_thing (last_us);
CREATE TABLE node_digest (
  municipality INTEGER NOT NULL,
  digest TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  thing INTEGER NOT NULL REFERENCES node_digest_thing (id) ON DELETE CASCADE,
  PRIMARY KEY (municipality, digest)
) STRICT;
CREATE INDEX node_digest_of_thing ON node_digest (thing);
-- What the hub asked, and what became of it.
CREATE TABLE node_reveal (
  request TEXT NOT NULL,
  municipality INTEGER NOT NULL,
  digest TEXT NOT NULL,
  thing INTEGER,                  -- null: not known here
  kind TEXT NOT NULL,
  what TEXT NOT NULL,             -- as it would be shown
  reason TEXT NOT NULL,
  state TEXT NOT NULL,            -- revealed, asked, declined, late, gone
  asked_us INTEGER NOT NULL,
  until_us INTEGER NOT NULL,      -- the hub waits so long
  answered_us INTEGER NOT NULL,   -- 0: not yet
  who TEXT NOT NULL,              -- who answered; "machine" when it is automatic
  mails INTEGER NOT NULL,         -- of the thing here when it was asked
  mails_end INTEGER NOT NULL,     -- and when its row was forgotten; -1: the row is there
  PRIMARY KEY (request, municipality)
) STRICT;
CREATE INDEX node_reveal_asked ON node_reveal (asked_us);
CREATE TABLE node_digest_word (
  name TEXT PRIMARY KEY,          -- hash_key, harmless, address/<municipality>
  value TEXT NOT NULL
) STRICT;
