-- Warnings at the hub: what is known, every version that went out, what each municipality answered. Questions about exposure. Partners'
-- machines and what is on its way to them.
CREATE TABLE warning (
  id TEXT PRIMARY KEY,
  campaign TEXT NOT NULL,
  state TEXT NOT NULL,            -- draft, sent, updated, over, withdrawn
  severity TEXT NOT NULL,
  tlp TEXT NOT NULL,
  version INTEGER NOT NULL,       -- 0: nothing went out
  about TEXT NOT NULL,            -- JSON of warn::Case: what is known now
  published TEXT,                 -- and as it was when the last version went out
  own_words TEXT NOT NULL,        -- JSON array: texts that a person wrote, by language
  first_seen_us INTEGER NOT NULL, -- of the first delivery; 0: unknown
  drafted_at_us INTEGER NOT NULL,
  sent_at_us INTEGER,
  published_at_us INTEGER,
  changed_at_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
-- One at a time for a campaign.
CREATE UNIQUE INDEX warning_live ON warning (campaign) WHERE state IN ('draft', 'sent', 'updated');
CREATE INDEX warning_when ON warning (changed_at_us);

CREATE TABLE warning_version (
  warning TEXT NOT NULL REFERENCES warning (id),
  version INTEGER NOT NULL,
  at_us INTEGER NOT NULL,
  state TEXT NOT NULL,
  made_by TEXT NOT NULL,
  why TEXT NOT NULL,
  entry TEXT NOT NULL,            -- as it went out
  PRIMARY KEY (warning, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE warning_town (
  warning TEXT NOT NULL REFERENCES warning (id),
  municipality INTEGER NOT NULL,
  name TEXT NOT NULL,
  asked_at_us INTEGER NOT NULL,
  reminders INTEGER NOT NULL DEFAULT 0,
  given_up INTEGER NOT NULL DEFAULT 0, -- the last reminder is long past: said once
  answer TEXT,                    -- JSON of event::WarningAnswer, the newest
  at_us INTEGER,                  -- of that answer, the node's clock
  received_at_us INTEGER,
  ended_at_us INTEGER,            -- sessions of accounts there were ended, as the hub was told
  PRIMARY KEY (warning, municipality)
) STRICT, WITHOUT ROWID;

CREATE TABLE warning_taken (
  municipality INTEGER PRIMARY KEY,
  since_us INTEGER NOT NULL,
  said_by TEXT NOT NULL
) STRICT;

CREATE TABLE exposure_question (
  id TEXT PRIMARY KEY,
  ask TEXT NOT NULL,              -- JSON of event::ExposureAsk
  asked_by TEXT NOT NULL,
  asked_at_us INTEGER NOT NULL,
  withdrawn_at_us INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE exposure_answer (
  question TEXT NOT NULL REFERENCES exposure_question (id),
  municipality INTEGER NOT NULL,
  name TEXT NOT NULL,
  state TEXT NOT NULL DEFAULT '', -- have, have_mended, do_not_have, do_not_know; empty: asked
  systems INTEGER NOT NULL DEFAULT 0,
  at_us INTEGER NOT NULL DEFAULT 0,
  received_at_us INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (question, municipality)
) STRICT, WITHOUT ROWID;

CREATE TABLE warning_subscription (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  url TEXT NOT NULL,
  secret TEXT NOT NULL,           -- whsec_... (Standard Webhooks)
  tlp TEXT NOT NULL,              -- the narrowest marking it gets
  made_by TEXT NOT NULL,
  made_at_us INTEGER NOT NULL,
  last_good_us INTEGER,
  trouble TEXT NOT NULL DEFAULT '',
  stopped INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE warning_push (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  public_id TEXT NOT NULL UNIQUE, -- webhook-id: the same at every attempt
  subscription INTEGER NOT NULL,
  warning TEXT NOT NULL,
  version INTEGER NOT NULL,
  body TEXT NOT NULL,             -- emptied when done
  made_at_us INTEGER NOT NULL,
  done_at_us INTEGER,
  outcome TEXT                    -- of the last attempt
) STRICT;
CREATE INDEX warning_push_of ON warning_push (subscription, warning, version);
