-- Tenants of a municipality, its people, and how they are reached: on hub and node alike.
CREATE TABLE tenant (
  id INTEGER PRIMARY KEY,
  municipality INTEGER NOT NULL,
  kind TEXT NOT NULL,            -- microsoft365, active_directory, other
  name TEXT NOT NULL,
  external_id TEXT,              -- the directory's own id
  created_at_us INTEGER NOT NULL,
  UNIQUE (municipality, name)
) STRICT;

CREATE TABLE person (
  id INTEGER PRIMARY KEY,
  municipality INTEGER NOT NULL, -- 0: the joint CERT
  name TEXT NOT NULL,
  title TEXT NOT NULL,
  language TEXT NOT NULL,        -- da, nb, en
  created_at_us INTEGER NOT NULL,
  left_at_us INTEGER,
  UNIQUE (municipality, name)
) STRICT;

CREATE TABLE person_role (
  person INTEGER NOT NULL REFERENCES person (id),
  role TEXT NOT NULL,
  given_by TEXT NOT NULL,
  given_at_us INTEGER NOT NULL,
  until_us INTEGER,              -- NULL: until taken away
  PRIMARY KEY (person, role)
) STRICT, WITHOUT ROWID;

-- One way to reach a person. A duty contact has two that work when the municipality's own tenant is taken.
CREATE TABLE contact_way (
  id INTEGER PRIMARY KEY,
  person INTEGER NOT NULL REFERENCES person (id),
  kind TEXT NOT NULL,            -- webhook, mail, phone
  address TEXT NOT NULL,
  secret TEXT,                   -- of a webhook: whsec_...
  outside_tenant INTEGER NOT NULL,
  rank INTEGER NOT NULL,         -- 1 is tried first
  created_at_us INTEGER NOT NULL,
  confirmed_at_us INTEGER,       -- the person answered a test
  UNIQUE (person, kind, address)
) STRICT;
