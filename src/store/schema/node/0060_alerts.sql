-- Alerts of a node: what was found, grouped by rule and by whom or what it concerns. Times: microseconds UTC.
CREATE TABLE alert (
  id INTEGER PRIMARY KEY,
  key TEXT NOT NULL,                 -- BLAKE2b, 16 bytes as hex, of municipality, tenant, rule and concern
  municipality INTEGER NOT NULL,
  tenant INTEGER NOT NULL,
  kind TEXT NOT NULL,                -- sigma, correlation, indicator
  rule TEXT NOT NULL,                -- alert_rule.rule
  title TEXT NOT NULL,
  level TEXT NOT NULL,
  action TEXT NOT NULL,              -- of an indicator: watch, warn, hold, block
  concern_kind TEXT NOT NULL,        -- account, host, address, source, group
  concern TEXT NOT NULL,
  count INTEGER NOT NULL,
  first_seen_us INTEGER NOT NULL,    -- happened; received when a record has no time
  last_seen_us INTEGER NOT NULL,
  opened_at_us INTEGER NOT NULL,
  updated_at_us INTEGER NOT NULL,
  told_count INTEGER NOT NULL,       -- count when it was last announced
  state TEXT NOT NULL,               -- open, acknowledged, closed
  place TEXT NOT NULL,               -- queue, over_budget, counted
  rank INTEGER NOT NULL,
  shift INTEGER NOT NULL,            -- in which it took its place in the queue; -1: none
  state_by TEXT NOT NULL,
  state_at_us INTEGER NOT NULL,
  state_why TEXT NOT NULL
);
CREATE INDEX alert_key ON alert (key, id);
CREATE INDEX alert_list ON alert (municipality, state, place, rank);
CREATE INDEX alert_shift ON alert (shift, place, rank);
CREATE INDEX alert_rule_of ON alert (rule, updated_at_us);

-- A few findings of each alert; the record itself stays in history and is opened there.
CREATE TABLE alert_example (
  alert INTEGER NOT NULL REFERENCES alert (id),
  finding TEXT NOT NULL,             -- BLAKE2b, 16 bytes as hex, of rule, segment, frame and line
  segment INTEGER NOT NULL,
  frame INTEGER NOT NULL,
  line INTEGER NOT NULL,             -- in the frame, from 1
  line_hash INTEGER NOT NULL,        -- XXH3 of the record: found again when the cold pass has moved it
  source TEXT NOT NULL,
  format TEXT NOT NULL,
  happened_at_us INTEGER NOT NULL,
  received_at_us INTEGER NOT NULL,
  fields TEXT NOT NULL,              -- JSON object: what made it match
  PRIMARY KEY (alert, finding)
);

-- The life of a rule, a correlation or a list of indicators.
CREATE TABLE alert_rule (
  rule TEXT PRIMARY KEY,             -- sigma:ID, correlation:ID, indicators:SOURCE
  title TEXT NOT NULL,
  level TEXT NOT NULL,
  state TEXT NOT NULL,               -- count_only, live, demoted
  since_us INTEGER NOT NULL,
  why TEXT NOT NULL,
  by_whom TEXT NOT NULL,
  added_at_us INTEGER NOT NULL,
  present INTEGER NOT NULL,          -- 0: no longer loaded
  measured_until_us INTEGER NOT NULL DEFAULT 0, -- history received before it was added was read for its rate; 0: not yet
  judged_from_day INTEGER NOT NULL DEFAULT 0    -- days before were forgiven by a person
);

-- How often, by the day things happened on. alerts: distinct concerns that day.
CREATE TABLE alert_rule_day (
  rule TEXT NOT NULL,
  day INTEGER NOT NULL,              -- since 1970, UTC
  findings INTEGER NOT NULL,
  alerts INTEGER NOT NULL,
  not_listed INTEGER NOT NULL,       -- findings beyond the rows a rule may have while it only counts
  PRIMARY KEY (rule, day)
) WITHOUT ROWID;

-- Days of which there are records: what a rate is measured over.
CREATE TABLE alert_day (day INTEGER PRIMARY KEY, records INTEGER NOT NULL);

-- Calls at night that were made, against the budget of one a municipality and month.
CREATE TABLE alert_call (
  id INTEGER PRIMARY KEY,
  municipality INTEGER NOT NULL,
  alert INTEGER NOT NULL,
  at_us INTEGER NOT NULL,
  made INTEGER NOT NULL              -- 0: would have been made, the budget was used up
);
CREATE INDEX alert_call_of ON alert_call (municipality, at_us);
