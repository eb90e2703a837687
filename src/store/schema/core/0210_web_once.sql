-- The answer to a POST of the web address that may be sent again (Idempotency-Key). A row without a status: it is being handled, or was cut by
-- the end of the process named `run`. kept = 0: done, but the answer held a secret that is shown once, or was too large.
CREATE TABLE web_once (
  who TEXT NOT NULL,
  key TEXT NOT NULL,
  request BLOB NOT NULL,          -- hash of method, path, query and body
  run TEXT NOT NULL,
  status INTEGER,
  headers TEXT NOT NULL,
  body BLOB NOT NULL,
  kept INTEGER NOT NULL,
  at_us INTEGER NOT NULL,
  PRIMARY KEY (who, key)
) STRICT;
CREATE INDEX web_once_at ON web_once (at_us);
