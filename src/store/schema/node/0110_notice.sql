-- What this node noticed, for the municipality's own page, and what of it was told. Times: microseconds UTC.
CREATE TABLE node_notice (
  id TEXT PRIMARY KEY,
  kind TEXT NOT NULL,                -- sender, takeover, burst, harm
  municipality INTEGER NOT NULL,
  concern TEXT NOT NULL,             -- mailbox or account; of a harm the sender it is about
  level TEXT NOT NULL,               -- of a takeover: suspected, likely, sure; of a harm: its kind
  part INTEGER NOT NULL,             -- told so far
  first_us INTEGER NOT NULL,
  last_us INTEGER NOT NULL,
  noticed_us INTEGER NOT NULL,
  updated_us INTEGER NOT NULL,
  mails INTEGER NOT NULL,
  recipients INTEGER NOT NULL,
  outside INTEGER NOT NULL,
  usual INTEGER NOT NULL,
  source TEXT NOT NULL,
  late_s INTEGER NOT NULL,
  judged TEXT NOT NULL DEFAULT '',   -- real, false
  judged_by TEXT NOT NULL DEFAULT '',
  judged_why TEXT NOT NULL DEFAULT '',
  judged_us INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX node_notice_newest ON node_notice (noticed_us, id);
CREATE INDEX node_notice_updated ON node_notice (updated_us);

CREATE TABLE node_notice_sign (
  notice TEXT NOT NULL,
  nr INTEGER NOT NULL,
  "group" TEXT NOT NULL,
  kind TEXT NOT NULL,
  at_us INTEGER NOT NULL,
  detail TEXT NOT NULL,
  PRIMARY KEY (notice, nr)
) STRICT, WITHOUT ROWID;

CREATE TABLE node_notice_domain (
  notice TEXT NOT NULL,
  domain TEXT NOT NULL,
  mails INTEGER NOT NULL,
  PRIMARY KEY (notice, domain)
) STRICT, WITHOUT ROWID;

-- Message-IDs that were told: each once for a domain, whatever crashes.
CREATE TABLE node_notice_mail (
  notice TEXT NOT NULL,
  domain TEXT NOT NULL,
  message_id TEXT NOT NULL,
  part INTEGER NOT NULL,
  PRIMARY KEY (notice, domain, message_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE node_notice_exercise (
  id TEXT PRIMARY KEY,
  sender TEXT NOT NULL,
  url TEXT NOT NULL,
  from_us INTEGER NOT NULL,
  until_us INTEGER NOT NULL,
  withdrawn INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Mail that another node's sender notice named to this municipality.
CREATE TABLE node_notice_named (
  notice TEXT NOT NULL,
  part INTEGER NOT NULL,
  municipality INTEGER NOT NULL,
  payload TEXT NOT NULL,             -- the entry
  at_us INTEGER NOT NULL,
  PRIMARY KEY (notice, part, municipality)
) STRICT, WITHOUT ROWID;
