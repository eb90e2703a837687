-- Mails that employees reported on the page without script: enough to say "you were the first of 14", and no more. The report itself is a record
-- in the history. thing, reporter: hashes.
CREATE TABLE web_report (
  token TEXT PRIMARY KEY,         -- of the thank-you page
  at_us INTEGER NOT NULL,
  thing BLOB NOT NULL,
  reporter BLOB NOT NULL,
  number INTEGER NOT NULL,        -- 1: the first who reported this
  typed INTEGER NOT NULL,         -- 1: a password was typed
  UNIQUE (thing, reporter)
) STRICT;
CREATE INDEX web_report_at ON web_report (at_us);
