-- Mailboxes emptied of mails that a sender notice names. A step at Microsoft is a row before it is made (state moving, undoing) and after.
CREATE TABLE purge_case (
  notice TEXT PRIMARY KEY,
  sender TEXT NOT NULL,
  from_us INTEGER NOT NULL,
  to_us INTEGER NOT NULL,
  said INTEGER NOT NULL,             -- mails, by the notice
  state TEXT NOT NULL,
  why TEXT NOT NULL DEFAULT '',
  paused TEXT NOT NULL DEFAULT '',   -- limit of the hour, hours of day
  want TEXT NOT NULL DEFAULT '',     -- empty, back; '': nothing
  withdrawn INTEGER NOT NULL DEFAULT 0,
  approved_by TEXT NOT NULL DEFAULT '',  -- people: a yes from here, or those who signed an order
  yes INTEGER NOT NULL DEFAULT 0,        -- a yes from here
  code_hash TEXT NOT NULL DEFAULT '',    -- of the question's one-time code
  code_tries INTEGER NOT NULL DEFAULT 0,
  ask_until_us INTEGER NOT NULL DEFAULT 0,
  refused INTEGER NOT NULL DEFAULT 0,    -- places of the trace that are not of this sender and window
  round INTEGER NOT NULL DEFAULT 0,
  round_open INTEGER NOT NULL DEFAULT 0,
  pause_step INTEGER NOT NULL DEFAULT 0, -- doubles the pause between rounds
  looked INTEGER NOT NULL DEFAULT 0,     -- the trace was looked through at least once
  locate_us INTEGER,                     -- the trace is to be looked through from then on
  next_us INTEGER NOT NULL DEFAULT 0,    -- next round
  wait_until_us INTEGER NOT NULL DEFAULT 0,
  watch_until_us INTEGER NOT NULL DEFAULT 0,
  opened_us INTEGER NOT NULL,
  changed_us INTEGER NOT NULL,
  emptied_us INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TABLE purge_message (
  notice TEXT NOT NULL,
  message_id TEXT NOT NULL,          -- without <>
  part INTEGER NOT NULL,
  located INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (notice, message_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE purge_copy (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  notice TEXT NOT NULL,
  mailbox TEXT NOT NULL,
  message_id TEXT NOT NULL,
  nr INTEGER NOT NULL DEFAULT 0,     -- a mailbox may hold the same mail twice
  sender TEXT NOT NULL,              -- another one when it is a forward
  forward_of TEXT NOT NULL DEFAULT '',
  network_id TEXT NOT NULL DEFAULT '',
  delivered_us INTEGER NOT NULL,
  way TEXT NOT NULL,                 -- mailbox, defender
  state TEXT NOT NULL,
  reason TEXT NOT NULL DEFAULT '',
  due_us INTEGER,                    -- something is to be done from then on
  item TEXT NOT NULL DEFAULT '',     -- at Microsoft: where it is
  folder TEXT NOT NULL DEFAULT '',   -- and where it was
  counted_us INTEGER NOT NULL DEFAULT 0,  -- against the limit of the hour
  moved_us INTEGER NOT NULL DEFAULT 0,
  back_us INTEGER NOT NULL DEFAULT 0,
  round INTEGER NOT NULL DEFAULT -1, -- in which it was searched last
  UNIQUE (notice, mailbox, message_id, nr)
) STRICT;
CREATE INDEX purge_copy_due ON purge_copy (notice, due_us) WHERE due_us IS NOT NULL;
CREATE INDEX purge_copy_counted ON purge_copy (counted_us) WHERE counted_us > 0;

CREATE TABLE purge_round (
  notice TEXT NOT NULL,
  nr INTEGER NOT NULL,
  what TEXT NOT NULL,
  started_us INTEGER NOT NULL,
  ended_us INTEGER NOT NULL DEFAULT 0,
  searched INTEGER NOT NULL DEFAULT 0,
  present INTEGER NOT NULL DEFAULT 0,
  moved INTEGER NOT NULL DEFAULT 0,
  failed INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (notice, nr)
) STRICT, WITHOUT ROWID;

-- Second signs: those of the hub's entry, and those that this node saw itself.
CREATE TABLE purge_sign (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  sender TEXT NOT NULL,
  notice TEXT NOT NULL DEFAULT '',   -- '': of the sender, whichever notice
  own INTEGER NOT NULL,
  group_name TEXT NOT NULL,
  kind TEXT NOT NULL,
  at_us INTEGER NOT NULL,
  detail TEXT NOT NULL DEFAULT '',
  UNIQUE (sender, notice, own, group_name, kind)
) STRICT;

CREATE TABLE purge_proof (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  notice TEXT NOT NULL,
  at_us INTEGER NOT NULL,
  proof TEXT NOT NULL
) STRICT;
CREATE INDEX purge_proof_notice ON purge_proof (notice, id);
