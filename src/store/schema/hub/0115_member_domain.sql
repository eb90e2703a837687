-- The mail domains of members, as their invitation says; nodes get the list. A domain has one owner.
CREATE TABLE member_domain (
  domain TEXT PRIMARY KEY,
  municipality INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX member_domain_of ON member_domain (municipality);

CREATE TABLE member_agreement (
  municipality INTEGER PRIMARY KEY,
  may_be_named INTEGER NOT NULL DEFAULT 1  -- its domain may be named to members at once when it is the sender
) STRICT;
