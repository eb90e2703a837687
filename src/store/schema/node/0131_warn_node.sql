-- Warnings as they came to this node, what was found here, what people here said. Questions about exposure and standing answers to them.
CREATE TABLE warning_here (
  warning TEXT NOT NULL,
  municipality INTEGER NOT NULL,
  campaign TEXT NOT NULL,
  version INTEGER NOT NULL,
  state TEXT NOT NULL,            -- sent, updated, over, withdrawn
  severity TEXT NOT NULL,
  entry TEXT NOT NULL,            -- JSON of event::WarningEntry, as it came
  taken_at_us INTEGER NOT NULL,
  search INTEGER NOT NULL DEFAULT 0,     -- counts how often there was something new to look for
  search_from_us INTEGER NOT NULL DEFAULT 0, -- when that search began
  looks INTEGER NOT NULL DEFAULT 0,      -- how often history was searched
  looked INTEGER NOT NULL DEFAULT 0,     -- 1: at least one search ended well
  found TEXT NOT NULL DEFAULT '',        -- JSON of what the last one found
  trouble TEXT NOT NULL DEFAULT '',      -- why the last one failed
  warned_at_us INTEGER NOT NULL DEFAULT 0,
  list_fetched_us INTEGER,
  blocked_us INTEGER,
  ended_us INTEGER,
  seen_by TEXT NOT NULL DEFAULT '',
  seen_at_us INTEGER NOT NULL DEFAULT 0,
  told_severity TEXT NOT NULL DEFAULT '', -- the severity people were last told
  told_hits INTEGER NOT NULL DEFAULT 0,   -- 1: people were told that it is here
  told_end TEXT NOT NULL DEFAULT '',      -- over, withdrawn: people were told
  messages INTEGER NOT NULL DEFAULT 0,
  reminders INTEGER NOT NULL DEFAULT 0,
  answered TEXT NOT NULL DEFAULT '',      -- the answer that was sent last
  PRIMARY KEY (warning, municipality)
) STRICT, WITHOUT ROWID;
CREATE INDEX warning_here_when ON warning_here (taken_at_us);
CREATE INDEX warning_here_campaign ON warning_here (campaign);

-- What was emptied for a sender notice; it may be counted before the warning comes.
CREATE TABLE warning_purge (
  notice TEXT NOT NULL,
  municipality INTEGER NOT NULL,
  purged INTEGER NOT NULL,
  purge_left INTEGER NOT NULL,
  emptied_us INTEGER,
  changed_at_us INTEGER NOT NULL,
  PRIMARY KEY (notice, municipality)
) STRICT, WITHOUT ROWID;

CREATE TABLE warning_taken_here (
  municipality INTEGER PRIMARY KEY,
  since_us INTEGER NOT NULL,
  said_by TEXT NOT NULL,
  why TEXT NOT NULL
) STRICT;

CREATE TABLE exposure_here (
  question TEXT NOT NULL,
  municipality INTEGER NOT NULL,
  ask TEXT NOT NULL,              -- JSON of event::ExposureAsk
  taken_at_us INTEGER NOT NULL,
  withdrawn INTEGER NOT NULL DEFAULT 0,
  reminders INTEGER NOT NULL DEFAULT 0,
  state TEXT NOT NULL DEFAULT '', -- empty: not answered
  systems INTEGER NOT NULL DEFAULT 0,
  answered_by TEXT NOT NULL DEFAULT '',
  answered_at_us INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (question, municipality)
) STRICT, WITHOUT ROWID;

CREATE TABLE exposure_rule (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  municipality INTEGER NOT NULL,
  product TEXT NOT NULL,
  state TEXT NOT NULL,            -- have, have_mended, do_not_have
  systems INTEGER NOT NULL,
  made_by TEXT NOT NULL,
  checked_at_us INTEGER NOT NULL,
  UNIQUE (municipality, product)
) STRICT;
