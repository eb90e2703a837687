-- Messages to people, every attempt to deliver them, and the codes that prove somebody read one.
CREATE TABLE notify_message (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  public_id TEXT NOT NULL UNIQUE, -- msg_...: the same at every attempt, so that a receiver counts it once
  way INTEGER NOT NULL,           -- contact_way.id; the way may be gone later, the proof stays
  kind TEXT NOT NULL,             -- test, call_me, ...
  about TEXT NOT NULL,            -- what it is about: "order:...", "mandate_test:3"
  municipality INTEGER NOT NULL,
  subject TEXT NOT NULL,
  body TEXT NOT NULL,             -- emptied when delivered or given up, if it held a code
  made_at_us INTEGER NOT NULL,
  until_us INTEGER NOT NULL,      -- not tried after this
  state TEXT NOT NULL,            -- waiting, delivered, given_up
  tries INTEGER NOT NULL DEFAULT 0,
  done_at_us INTEGER,
  answer TEXT                     -- of the last attempt: "202", "250 2.0.0 Ok: queued", "no connection: ..."
) STRICT;
CREATE INDEX notify_message_about ON notify_message (about);

CREATE TABLE notify_attempt (
  message INTEGER NOT NULL REFERENCES notify_message (id),
  at_us INTEGER NOT NULL,
  good INTEGER NOT NULL,
  answer TEXT NOT NULL
) STRICT;
CREATE INDEX notify_attempt_of ON notify_attempt (message);

CREATE TABLE notify_code (
  digest BLOB PRIMARY KEY,
  message INTEGER NOT NULL REFERENCES notify_message (id),
  way INTEGER NOT NULL,
  about TEXT NOT NULL,
  expires_at_us INTEGER NOT NULL,
  confirmed_at_us INTEGER
) STRICT, WITHOUT ROWID;
