-- One novel thing, whatever epoch's digest it came under.
CREATE TABLE hub_digest_group (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL,             -- url, attachment
  first_us INTEGER NOT NULL,
  last_us INTEGER NOT NULL,
  reveal TEXT NOT NULL,           -- '' nobody asked; asked, revealed, disputed, unanswered
  reason TEXT NOT NULL            -- of the question: candidate, suspicion
) STRICT;
CREATE INDEX hub_digest_group_last ON hub_digest_group (last_us);
CREATE TABLE hub_digest (
  digest TEXT PRIMARY KEY,        -- hex
  grp INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  UNIQUE (grp, epoch)
) STRICT;
-- Groups that were found to be one with an older one.
CREATE TABLE hub_digest_alias (
  id INTEGER PRIMARY KEY,
  grp INTEGER NOT NULL
) STRICT;
CREATE INDEX hub_digest_alias_of ON hub_digest_alias (grp);
CREATE TABLE hub_digest_seen (
  grp INTEGER NOT NULL,
  municipality INTEGER NOT NULL,
  node TEXT NOT NULL,
  first_us INTEGER NOT NULL,
  last_us INTEGER NOT NULL,
  mails INTEGER NOT NULL,         -- bucketed
  epoch INTEGER NOT NULL,         -- the newest it told
  PRIMARY KEY (grp, municipality)
) STRICT;
CREATE TABLE hub_digest_sender (
  grp INTEGER NOT NULL,
  domain TEXT NOT NULL,           -- a member's
  municipality INTEGER NOT NULL,  -- who says so
  PRIMARY KEY (grp, domain, municipality)
) STRICT;
CREATE TABLE hub_digest_sign (
  grp INTEGER NOT NULL,
  municipality INTEGER NOT NULL,
  sign_group TEXT NOT NULL,
  kind TEXT NOT NULL,
  at_us INTEGER NOT NULL,
  PRIMARY KEY (grp, municipality, sign_group, kind)
) STRICT;
CREATE TABLE hub_digest_support (
  grp INTEGER NOT NULL,
  support TEXT NOT NULL,
  PRIMARY KEY (grp, support)
) STRICT;
CREATE INDEX hub_digest_support_of ON hub_digest_support (support);
CREATE TABLE hub_digest_ask (
  request TEXT PRIMARY KEY,
  grp INTEGER NOT NULL,
  municipality INTEGER NOT NULL,
  digest TEXT NOT NULL,
  asked_us INTEGER NOT NULL,
  until_us INTEGER NOT NULL,
  state TEXT NOT NULL,            -- open, asked (a person is asked), revealed, declined, gone
  answered_us INTEGER NOT NULL,
  UNIQUE (grp, municipality)
) STRICT;
-- What municipalities said a thing is; checked against the rules before it came here.
CREATE TABLE hub_digest_shown (
  grp INTEGER NOT NULL,
  municipality INTEGER NOT NULL,
  scheme TEXT NOT NULL,
  host TEXT NOT NULL,
  path TEXT NOT NULL,
  file_name TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  at_us INTEGER NOT NULL,
  PRIMARY KEY (grp, municipality)
) STRICT;
CREATE TABLE hub_digest_host (
  host TEXT PRIMARY KEY,
  first_us INTEGER NOT NULL
) STRICT;
CREATE TABLE hub_digest_day (
  node TEXT NOT NULL,
  day INTEGER NOT NULL,
  items INTEGER NOT NULL,
  dropped INTEGER NOT NULL,
  joins INTEGER NOT NULL,
  PRIMARY KEY (node, day)
) STRICT;
-- Domains of bulk senders that municipalities learnt as harmless.
CREATE TABLE hub_harmless (
  domain TEXT NOT NULL,
  municipality INTEGER NOT NULL,
  since_us INTEGER NOT NULL,
  told_us INTEGER NOT NULL,
  PRIMARY KEY (domain, municipality)
) STRICT;
CREATE INDEX hub_harmless_of ON hub_harmless (municipality);
CREATE TABLE hub_harmless_struck (
  domain TEXT PRIMARY KEY,
  at_us INTEGER NOT NULL,
  who TEXT NOT NULL,
  why TEXT NOT NULL
) STRICT;
CREATE TABLE hub_harmless_list (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  version INTEGER NOT NULL,
  domains TEXT NOT NULL,          -- as sent
  waiting INTEGER NOT NULL        -- 1: a timer will look whether it changed
) STRICT;
-- Where stewards seal keys to, as nodes told it.
CREATE TABLE hub_digest_address (
  node TEXT NOT NULL,
  municipality INTEGER NOT NULL,
  address TEXT NOT NULL,
  at_us INTEGER NOT NULL,
  PRIMARY KEY (node, municipality)
) STRICT;
CREATE INDEX hub_digest_address_of ON hub_digest_address (address);
CREATE TABLE hub_sealed_key (
  epoch INTEGER NOT NULL,
  address TEXT NOT NULL,
  from_us INTEGER NOT NULL,
  until_us INTEGER NOT NULL,
  replaces INTEGER NOT NULL,      -- 1: a reserve
  check_word TEXT NOT NULL,
  payload TEXT NOT NULL,
  sent_us INTEGER NOT NULL,       -- 0: not yet
  PRIMARY KEY (epoch, address)
) STRICT;
CREATE TABLE hub_digest_epoch (
  epoch INTEGER PRIMARY KEY,
  released_us INTEGER NOT NULL    -- of a reserve: 0 while it lies on the shelf
) STRICT;
