-- The block list as the hub sent it; what ended stays for a while, so that an older word cannot bring it back.
CREATE TABLE node_block (
  id TEXT PRIMARY KEY,
  kind TEXT NOT NULL,
  value TEXT NOT NULL,
  action TEXT NOT NULL,
  reason TEXT NOT NULL,
  campaign TEXT NOT NULL,
  by_people TEXT NOT NULL,
  state TEXT NOT NULL,            -- in_force, refused, gone
  why TEXT NOT NULL,
  from_us INTEGER NOT NULL,       -- of the last change: the later one counts
  until_us INTEGER NOT NULL,
  came_us INTEGER NOT NULL,
  looks INTEGER NOT NULL          -- how often its hits were counted since
) STRICT;
CREATE INDEX node_block_until ON node_block (state, until_us);
-- What a person here lets through, or blocks beside the hub's list.
CREATE TABLE node_block_override (
  kind TEXT NOT NULL,
  value TEXT NOT NULL,
  what TEXT NOT NULL,             -- allow, deny
  reason TEXT NOT NULL,
  by_person TEXT NOT NULL,
  at_us INTEGER NOT NULL,
  until_us INTEGER NOT NULL,
  PRIMARY KEY (kind, value)
) STRICT;
-- One row: the switch, the counter of changes, and the number of the list.
CREATE TABLE node_block_list (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  changes INTEGER NOT NULL,
  serial INTEGER NOT NULL,
  content_hash TEXT NOT NULL,
  made_us INTEGER NOT NULL,
  gone_before_us INTEGER NOT NULL, -- the hub withdrew all that it sent until then
  killed_us INTEGER NOT NULL,      -- 0: not
  killed_by TEXT NOT NULL,
  killed_why TEXT NOT NULL
) STRICT;
INSERT INTO node_block_list VALUES (1, 0, 0, '', 0, 0, 0, '', '');
-- The last good text of each list that was asked for.
CREATE TABLE node_list_kept (
  file TEXT PRIMARY KEY,
  body BLOB NOT NULL,
  content_type TEXT NOT NULL,
  etag TEXT NOT NULL,
  made_us INTEGER NOT NULL
) STRICT;
CREATE TABLE node_list_token (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  list TEXT NOT NULL,
  hash TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  made_by TEXT NOT NULL,
  made_at_us INTEGER NOT NULL,
  revoked_at_us INTEGER NOT NULL, -- 0: it holds
  used_at_us INTEGER NOT NULL
) STRICT;
