-- Who takes part: operators, member municipalities, nodes, their codes and certificates. Only the hub has these.
CREATE TABLE operator (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  created_at_us INTEGER NOT NULL
) STRICT;

CREATE TABLE member (
  municipality INTEGER PRIMARY KEY,
  operator INTEGER NOT NULL REFERENCES operator (id),
  since_us INTEGER NOT NULL,
  left_at_us INTEGER
) STRICT;

CREATE TABLE node (
  id INTEGER PRIMARY KEY,
  operator INTEGER NOT NULL REFERENCES operator (id),
  name TEXT NOT NULL UNIQUE,
  form TEXT NOT NULL,            -- guest, package, vm
  sign_key TEXT,                 -- the node's Ed25519 key, given at enrolment: proofs are signed with it
  created_at_us INTEGER NOT NULL,
  enrolled_at_us INTEGER,
  last_seen_us INTEGER,
  clock_offset_us INTEGER,       -- node minus hub, as last measured
  retired_at_us INTEGER
) STRICT;

CREATE TABLE node_municipality (
  node INTEGER NOT NULL REFERENCES node (id),
  municipality INTEGER NOT NULL REFERENCES member (municipality),
  PRIMARY KEY (node, municipality)
) STRICT, WITHOUT ROWID;

CREATE TABLE enrolment_code (
  id INTEGER PRIMARY KEY,
  node INTEGER NOT NULL REFERENCES node (id),
  digest BLOB NOT NULL UNIQUE,   -- of the secret, which is kept nowhere
  made_by TEXT NOT NULL,
  made_at_us INTEGER NOT NULL,
  expires_at_us INTEGER NOT NULL,
  used_at_us INTEGER,
  used_for TEXT,                 -- serial of the certificate it gave
  withdrawn_at_us INTEGER
) STRICT;

CREATE TABLE certificate (
  serial TEXT PRIMARY KEY,       -- lower-case hex
  node INTEGER NOT NULL REFERENCES node (id),
  public_key TEXT NOT NULL,      -- hex of SHA-256 over the SubjectPublicKeyInfo
  fingerprint TEXT NOT NULL,
  pem TEXT NOT NULL,
  not_before_us INTEGER NOT NULL,
  not_after_us INTEGER NOT NULL,
  issued_at_us INTEGER NOT NULL,
  renews TEXT,                   -- serial of the one before
  revoked_at_us INTEGER,
  revoked_why TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX certificate_of_node ON certificate (node);
