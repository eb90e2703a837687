-- Microsoft 365 sources: which tenants, how far each source was read, which records were seen, what is being delivered.
CREATE TABLE m365_account (
  label TEXT PRIMARY KEY,             -- '' for the first tenant, else 'school'
  municipality INTEGER NOT NULL,
  tenant INTEGER NOT NULL,
  directory TEXT NOT NULL,            -- the directory's id (GUID)
  client TEXT NOT NULL,               -- the application's id
  login TEXT NOT NULL,
  graph TEXT NOT NULL,
  manage TEXT NOT NULL,
  domains TEXT NOT NULL DEFAULT ''    -- the municipality's own, separated by spaces
);
CREATE TABLE m365_cursor (
  source TEXT PRIMARY KEY,
  high_us INTEGER NOT NULL,           -- everything before was read
  low_us INTEGER NOT NULL,            -- of the past, everything from here on was read
  oldest_us INTEGER NOT NULL,         -- how far back the past is wanted
  swept_us INTEGER NOT NULL           -- when the last day was read again
);
CREATE TABLE m365_seen (
  source TEXT NOT NULL,
  key BLOB NOT NULL,                  -- 16 bytes of SHA-256
  at_us INTEGER NOT NULL,             -- when it was marked
  PRIMARY KEY (source, key)
);
CREATE INDEX m365_seen_at ON m365_seen (source, at_us);
CREATE TABLE m365_pending (
  source TEXT PRIMARY KEY,
  delivery TEXT NOT NULL,             -- the id it is delivered under
  keys BLOB NOT NULL,                 -- 16 bytes each
  lines BLOB NOT NULL
);
CREATE TABLE m365_setting (
  source TEXT NOT NULL,
  kind TEXT NOT NULL,                 -- application, service_principal, grant, role, policy
  id TEXT NOT NULL,
  name TEXT NOT NULL,
  json TEXT NOT NULL,
  PRIMARY KEY (source, kind, id)
);
