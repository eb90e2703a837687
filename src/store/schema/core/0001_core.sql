-- What every hub and node has: announcements, deadlines, work, the audit chain, kept replies, retention.

CREATE TABLE domain_event (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  at_us INTEGER NOT NULL,
  kind TEXT NOT NULL,
  subject TEXT NOT NULL,
  detail TEXT NOT NULL,
  municipality INTEGER NOT NULL
) STRICT;
CREATE INDEX domain_event_at ON domain_event (at_us);

-- How far each consumer of domain_event is.
CREATE TABLE consumer (
  name TEXT PRIMARY KEY,
  seq INTEGER NOT NULL,
  at_us INTEGER NOT NULL
) STRICT;

-- turn: counts settings of the same timer, so that one set anew while its handler runs is not deleted with the old one.
CREATE TABLE timer (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  due_us INTEGER NOT NULL,
  kind TEXT NOT NULL,
  subject TEXT NOT NULL,
  turn INTEGER NOT NULL DEFAULT 1,
  UNIQUE (kind, subject)
) STRICT;

-- failed: 1 when it was given up; kept to be seen and counted.
CREATE TABLE job (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL,
  subject TEXT NOT NULL,
  payload TEXT NOT NULL,
  tries INTEGER NOT NULL DEFAULT 0,
  not_before_us INTEGER NOT NULL,
  made_us INTEGER NOT NULL,
  failed INTEGER NOT NULL DEFAULT 0,
  last_error TEXT
) STRICT;
CREATE INDEX job_next ON job (kind, failed, not_before_us, id);

-- The chain of store/audit.hpp. Retention may take the oldest; audit_start then says where the rest begins.
CREATE TABLE audit (
  seq INTEGER PRIMARY KEY,
  at_us INTEGER NOT NULL,
  who TEXT NOT NULL,
  action TEXT NOT NULL,
  subject TEXT NOT NULL,
  detail TEXT NOT NULL,
  previous BLOB NOT NULL,
  hash BLOB NOT NULL
) STRICT;
CREATE TABLE audit_start (
  only INTEGER PRIMARY KEY CHECK (only = 1),
  seq INTEGER NOT NULL,
  hash BLOB NOT NULL,
  at_us INTEGER NOT NULL
) STRICT;

-- Heads of chains that a party signed. chain: whose chain it is ('self' here); party: who signed.
CREATE TABLE audit_witness (
  chain TEXT NOT NULL,
  party TEXT NOT NULL,
  seq INTEGER NOT NULL,
  hash BLOB NOT NULL,
  at_us INTEGER NOT NULL,
  signature BLOB NOT NULL,
  PRIMARY KEY (chain, party, seq)
) STRICT;

-- The answer to a request that may be sent again (Idempotency-Key). request: hash of what was asked.
CREATE TABLE kept_reply (
  who TEXT NOT NULL,
  key TEXT NOT NULL,
  request BLOB NOT NULL,
  status INTEGER NOT NULL,
  reply BLOB NOT NULL,
  at_us INTEGER NOT NULL,
  PRIMARY KEY (who, key)
) STRICT;
CREATE INDEX kept_reply_at ON kept_reply (at_us);

CREATE TABLE retention_class (
  name TEXT PRIMARY KEY,
  days INTEGER NOT NULL,
  reason TEXT NOT NULL
) STRICT;
