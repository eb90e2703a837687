-- Who gets bulletins by mail. Addresses are personal data: a row goes when its subscription ends.
CREATE TABLE bulletin_subscriber (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  address TEXT NOT NULL UNIQUE,
  person INTEGER UNIQUE,          -- NULL: somebody from outside
  language TEXT NOT NULL,         -- da, nb, en
  ceiling TEXT NOT NULL,          -- the narrowest TLP that is wanted; what the person may have counts when it is sent
  token TEXT NOT NULL UNIQUE,     -- of the link that ends it
  since_us INTEGER NOT NULL
) STRICT;
-- Asked for, and not confirmed by a link that was sent to the address. Ends by a timer.
CREATE TABLE bulletin_ask (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  address TEXT NOT NULL UNIQUE,
  person INTEGER,
  language TEXT NOT NULL,
  ceiling TEXT NOT NULL,
  token BLOB NOT NULL UNIQUE,     -- SHA-256
  asked_us INTEGER NOT NULL
) STRICT;
-- When links were asked for, without the addresses: how many an hour.
CREATE TABLE bulletin_ask_at (
  at_us INTEGER NOT NULL
) STRICT;
CREATE INDEX bulletin_ask_at_us ON bulletin_ask_at (at_us);
-- What a subscriber was told of a bulletin last.
CREATE TABLE bulletin_mailed (
  subscriber INTEGER NOT NULL REFERENCES bulletin_subscriber (id) ON DELETE CASCADE,
  bulletin INTEGER NOT NULL,
  version INTEGER NOT NULL,
  said BLOB NOT NULL,             -- SHA-256 of subject and text: what says the same is not sent again
  withdrawn INTEGER NOT NULL,
  at_us INTEGER NOT NULL,
  PRIMARY KEY (subscriber, bulletin)
) STRICT, WITHOUT ROWID;
CREATE INDEX bulletin_mailed_of ON bulletin_mailed (bulletin);
