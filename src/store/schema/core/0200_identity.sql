-- How people prove who they are, and what came of it: on hub and node alike. Secrets that only have to be recognised are kept as SHA-256 (hex).
CREATE TABLE user_handle (
  person INTEGER PRIMARY KEY REFERENCES person (id),
  handle TEXT NOT NULL UNIQUE    -- base64url of 32 random bytes: what authenticators know the person by
) STRICT;

CREATE TABLE passkey (
  id INTEGER PRIMARY KEY,
  person INTEGER NOT NULL REFERENCES person (id),
  name TEXT NOT NULL,
  credential TEXT NOT NULL UNIQUE, -- base64url
  public_key BLOB NOT NULL,        -- COSE
  algorithm INTEGER NOT NULL,
  sign_count INTEGER NOT NULL,
  backup_eligible INTEGER NOT NULL,
  backed_up INTEGER NOT NULL,
  aaguid TEXT NOT NULL,            -- hex: the model
  attestation TEXT NOT NULL,
  transports TEXT NOT NULL,        -- JSON list
  made_at_us INTEGER NOT NULL,
  used_at_us INTEGER,
  copied_at_us INTEGER             -- its counter did not grow: it signs in no more
) STRICT;
CREATE INDEX passkey_person ON passkey (person);

-- A question to a browser: one answer, for minutes.
CREATE TABLE challenge (
  hash TEXT PRIMARY KEY,           -- of the challenge
  kind TEXT NOT NULL,              -- sign_in, proof, registration
  browser TEXT NOT NULL,           -- hash of the cookie of the browser that was asked
  session INTEGER,
  ends_at_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE web_session (
  id INTEGER PRIMARY KEY,
  token TEXT NOT NULL UNIQUE,      -- hash
  person INTEGER NOT NULL REFERENCES person (id),
  method TEXT NOT NULL,            -- passkey, provider, code, link
  passkey INTEGER,
  demonstration INTEGER NOT NULL,
  began_at_us INTEGER NOT NULL,
  seen_at_us INTEGER NOT NULL,
  ends_at_us INTEGER NOT NULL,
  proved_at_us INTEGER,
  address TEXT NOT NULL,
  browser TEXT NOT NULL
) STRICT;
CREATE INDEX web_session_person ON web_session (person);

CREATE TABLE one_time_link (
  id INTEGER PRIMARY KEY,
  secret TEXT NOT NULL UNIQUE,     -- hash
  kind TEXT NOT NULL,              -- first, invitation, recovery, owner, demonstration
  person INTEGER REFERENCES person (id), -- NULL: of the first administrator, who is nobody yet
  made_by TEXT NOT NULL,
  made_at_us INTEGER NOT NULL,
  ends_at_us INTEGER NOT NULL,
  used_at_us INTEGER
) STRICT;
CREATE INDEX one_time_link_person ON one_time_link (person);

CREATE TABLE totp (
  person INTEGER PRIMARY KEY REFERENCES person (id),
  secret BLOB NOT NULL,
  confirmed_at_us INTEGER,
  last_step INTEGER NOT NULL,
  misses INTEGER NOT NULL          -- wrong codes since the last right one
) STRICT;

-- What went wrong, to slow down who guesses.
CREATE TABLE sign_in_try (
  id INTEGER PRIMARY KEY,
  bucket TEXT NOT NULL,            -- address:192.0.2.7, code:7
  at_us INTEGER NOT NULL
) STRICT;
CREATE INDEX sign_in_try_bucket ON sign_in_try (bucket, at_us);

CREATE TABLE api_key (
  id TEXT PRIMARY KEY,
  secret TEXT NOT NULL,            -- hash
  person INTEGER NOT NULL REFERENCES person (id),
  name TEXT NOT NULL,
  rights INTEGER NOT NULL,
  municipality INTEGER,            -- NULL: all that its person sees
  addresses TEXT NOT NULL,         -- JSON list of networks; empty: from anywhere
  made_at_us INTEGER NOT NULL,
  ends_at_us INTEGER NOT NULL,
  used_at_us INTEGER,
  used_from TEXT,
  ended_at_us INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX api_key_person ON api_key (person);

CREATE TABLE identity_provider (
  id INTEGER PRIMARY KEY,
  municipality INTEGER NOT NULL,
  label TEXT NOT NULL,
  issuer TEXT NOT NULL,
  client TEXT NOT NULL,
  client_secret TEXT,
  made_at_us INTEGER NOT NULL,
  UNIQUE (issuer, client)
) STRICT;

-- Who is whom at a provider: its issuer and subject, never a mail address.
CREATE TABLE provider_subject (
  provider INTEGER NOT NULL REFERENCES identity_provider (id),
  subject TEXT NOT NULL,
  person INTEGER NOT NULL REFERENCES person (id),
  made_at_us INTEGER NOT NULL,
  PRIMARY KEY (provider, subject)
) STRICT, WITHOUT ROWID;
CREATE INDEX provider_subject_person ON provider_subject (person);

-- A browser that was sent to a provider and is to come back.
CREATE TABLE provider_trip (
  state TEXT PRIMARY KEY,          -- hash
  provider INTEGER NOT NULL,
  browser TEXT NOT NULL,           -- hash of its cookie
  purpose TEXT NOT NULL,           -- sign_in, bind, proof
  session INTEGER,                 -- of bind and proof
  nonce TEXT NOT NULL,
  verifier TEXT NOT NULL,
  ends_at_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE recovery (
  id INTEGER PRIMARY KEY,
  person INTEGER NOT NULL REFERENCES person (id),
  reason TEXT NOT NULL,
  asked_by TEXT NOT NULL,
  asked_at_us INTEGER NOT NULL,
  ends_at_us INTEGER NOT NULL,
  agreed_by TEXT,
  agreed_at_us INTEGER
) STRICT;
