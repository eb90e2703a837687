-- What the hub sees that no municipality sees alone. Times: microseconds UTC. Message-IDs are not kept: they go on to their receivers.

-- A campaign, from candidate on. Things belong to it; what it counts is summed up from them.
CREATE TABLE corr_campaign (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  state TEXT NOT NULL,               -- candidate, waiting, suspicion, lit, over, false, merged
  cause TEXT NOT NULL,               -- what opened it: sender_notice, burst, url, attachment
  trigger TEXT NOT NULL,             -- what lit it, or would in shadow; empty: nothing
  severity INTEGER NOT NULL,         -- 0-4, the larger of the next two
  impact INTEGER NOT NULL,
  spread INTEGER NOT NULL,
  rank INTEGER NOT NULL,             -- place in the analyst's queue: larger first
  first_us INTEGER NOT NULL,         -- of its mails
  last_us INTEGER NOT NULL,
  noticed_us INTEGER NOT NULL,
  opened_us INTEGER NOT NULL,
  active_us INTEGER NOT NULL,        -- a thing or sign was last added
  suspicion_us INTEGER NOT NULL,     -- 0: never, as the next three
  would_light_us INTEGER NOT NULL,
  lit_us INTEGER NOT NULL,
  over_us INTEGER NOT NULL,
  lit_by TEXT NOT NULL,
  judged INTEGER NOT NULL,           -- 1 real, 0 false, -1 nobody said
  judged_by TEXT NOT NULL,
  judged_why TEXT NOT NULL,
  judged_us INTEGER NOT NULL,
  municipalities INTEGER NOT NULL,
  senders INTEGER NOT NULL,
  mails INTEGER NOT NULL,
  outside INTEGER NOT NULL,
  clicks INTEGER NOT NULL,
  reporters INTEGER NOT NULL,
  things INTEGER NOT NULL,
  told INTEGER NOT NULL,             -- mails when campaign.updated was last emitted
  told_what TEXT NOT NULL,           -- and severity, senders, signs: told again when they change
  merged_into INTEGER NOT NULL,      -- 0: not
  doubted INTEGER NOT NULL,          -- the sender's municipality said that it is no attack
  sole INTEGER NOT NULL              -- the only municipality whose word it rests on; 0: several
) STRICT;
CREATE INDEX corr_campaign_state ON corr_campaign (state, rank);
CREATE INDEX corr_campaign_opened ON corr_campaign (opened_us);
CREATE INDEX corr_campaign_suspicion ON corr_campaign (suspicion_us) WHERE suspicion_us > 0;
CREATE INDEX corr_campaign_lit ON corr_campaign (lit_us) WHERE lit_us > 0;
CREATE INDEX corr_campaign_would ON corr_campaign (would_light_us) WHERE would_light_us > 0;

-- What was reported: a sender notice, a burst, a group of digests.
CREATE TABLE corr_thing (
  key TEXT PRIMARY KEY,              -- notice:101.ID, burst:101.ID, group:ID
  kind TEXT NOT NULL,                -- notice, burst, group
  campaign INTEGER NOT NULL,
  municipality INTEGER NOT NULL,     -- who told; 0: several
  from_municipality INTEGER NOT NULL,-- the sender's; 0: not a member, or not known
  sender TEXT NOT NULL,              -- address; empty: not known
  first_us INTEGER NOT NULL,
  last_us INTEGER NOT NULL,
  noticed_us INTEGER NOT NULL,
  received_us INTEGER NOT NULL,
  mails INTEGER NOT NULL,
  recipients INTEGER NOT NULL,
  outside INTEGER NOT NULL,
  usual INTEGER NOT NULL,
  source TEXT NOT NULL,
  late_s INTEGER NOT NULL,
  part INTEGER NOT NULL,             -- the highest so far
  subject_hash TEXT NOT NULL,
  body_hash TEXT NOT NULL,
  about_kind TEXT NOT NULL,          -- revealed: url, attachment; empty: not
  about TEXT NOT NULL,               -- host/path, or sha256
  about_name TEXT NOT NULL,          -- file name
  second TEXT NOT NULL,              -- second signs as last told to receivers
  withdrawn INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX corr_thing_campaign ON corr_thing (campaign);
CREATE INDEX corr_thing_sender ON corr_thing (sender, last_us) WHERE sender <> '';
CREATE INDEX corr_thing_from ON corr_thing (from_municipality, last_us) WHERE from_municipality > 0;

-- Parts of a notice that were taken.
CREATE TABLE corr_part (
  thing TEXT NOT NULL,
  part INTEGER NOT NULL,
  PRIMARY KEY (thing, part)
) STRICT, WITHOUT ROWID;

-- Whom a thing reached.
CREATE TABLE corr_reach (
  thing TEXT NOT NULL,
  municipality INTEGER NOT NULL,
  mails INTEGER NOT NULL,
  first_us INTEGER NOT NULL,
  last_us INTEGER NOT NULL,
  parts INTEGER NOT NULL,            -- entries sent down to it
  domains TEXT NOT NULL,             -- its own, blank between
  PRIMARY KEY (thing, municipality)
) STRICT, WITHOUT ROWID;
CREATE INDEX corr_reach_of ON corr_reach (municipality, last_us);

-- Signs, of a thing or of a sender of whom nothing else is known yet (thing = sender:ADDRESS).
CREATE TABLE corr_sign (
  thing TEXT NOT NULL,
  grp TEXT NOT NULL,                 -- identity, payload, harm, intelligence
  kind TEXT NOT NULL,
  municipality INTEGER NOT NULL,     -- who told; 0: the hub
  ref TEXT NOT NULL,                 -- of the report, so that the same one counts once
  at_us INTEGER NOT NULL,
  count INTEGER NOT NULL,
  detail TEXT NOT NULL,
  PRIMARY KEY (thing, grp, kind, municipality, ref)
) STRICT, WITHOUT ROWID;
CREATE INDEX corr_sign_at ON corr_sign (at_us);

CREATE TABLE corr_takeover (
  municipality INTEGER NOT NULL,
  id TEXT NOT NULL,
  account TEXT NOT NULL,
  part INTEGER NOT NULL,
  first_us INTEGER NOT NULL,
  noticed_us INTEGER NOT NULL,
  received_us INTEGER NOT NULL,
  level TEXT NOT NULL,               -- suspected, likely, sure
  steps TEXT NOT NULL,               -- kinds of its steps, for people
  source TEXT NOT NULL,
  late_s INTEGER NOT NULL,
  PRIMARY KEY (municipality, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX corr_takeover_of ON corr_takeover (account, noticed_us);
CREATE INDEX corr_takeover_at ON corr_takeover (received_us);

-- What campaigns are found by. kind: sender, url, host, attachment, subject, body (these two: whole, when they are no simhash).
CREATE TABLE corr_link (
  kind TEXT NOT NULL,
  value TEXT NOT NULL,
  campaign INTEGER NOT NULL,
  at_us INTEGER NOT NULL,
  PRIMARY KEY (kind, value, campaign)
) STRICT, WITHOUT ROWID;
CREATE INDEX corr_link_campaign ON corr_link (campaign);
-- Simhashes, each under its eight bytes: two that differ in at most seven bits share one.
CREATE TABLE corr_near (
  kind TEXT NOT NULL,                -- subject, body
  band INTEGER NOT NULL,             -- 256 * which byte + byte
  campaign INTEGER NOT NULL,
  hash INTEGER NOT NULL,
  at_us INTEGER NOT NULL,
  PRIMARY KEY (kind, band, campaign, hash)
) STRICT, WITHOUT ROWID;
CREATE INDEX corr_near_campaign ON corr_near (campaign);

-- Domains outside the community that got it.
CREATE TABLE corr_outside (
  campaign INTEGER NOT NULL,
  domain TEXT NOT NULL,
  first_us INTEGER NOT NULL,
  told_by TEXT NOT NULL,
  told_us INTEGER NOT NULL,
  PRIMARY KEY (campaign, domain)
) STRICT, WITHOUT ROWID;

-- Brakes.
CREATE TABLE corr_trigger (
  name TEXT PRIMARY KEY,             -- sender_notice, burst
  mode TEXT NOT NULL,                -- shadow, live, confirm
  why TEXT NOT NULL,
  by_whom TEXT NOT NULL,
  since_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE corr_member (
  municipality INTEGER PRIMARY KEY,
  alone INTEGER NOT NULL,            -- 0: its word alone lights nothing
  why TEXT NOT NULL,
  by_whom TEXT NOT NULL,
  since_us INTEGER NOT NULL,
  not_real INTEGER NOT NULL,
  real INTEGER NOT NULL
) STRICT;
CREATE TABLE corr_call (
  municipality INTEGER NOT NULL,
  about TEXT NOT NULL,               -- campaign:7, takeover:101.ID
  reason TEXT NOT NULL,
  at_us INTEGER NOT NULL,
  night INTEGER NOT NULL,
  made INTEGER NOT NULL,             -- 0: the month's budget was used up
  PRIMARY KEY (municipality, about, reason)
) STRICT, WITHOUT ROWID;
CREATE INDEX corr_call_of ON corr_call (municipality, at_us);
CREATE TABLE corr_refused (
  municipality INTEGER NOT NULL,
  kind TEXT NOT NULL,
  reason TEXT NOT NULL,
  count INTEGER NOT NULL,
  first_us INTEGER NOT NULL,
  last_us INTEGER NOT NULL,
  example TEXT NOT NULL,
  PRIMARY KEY (municipality, kind, reason)
) STRICT, WITHOUT ROWID;
