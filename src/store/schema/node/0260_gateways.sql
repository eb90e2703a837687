-- Ways into a source over other products' protocols, and what came through each. Times: microseconds UTC.
CREATE TABLE live_gateway (
  source TEXT NOT NULL,              -- as in live_source
  municipality INTEGER NOT NULL,
  tenant INTEGER NOT NULL,
  way TEXT NOT NULL,                 -- elastic, hec
  client TEXT NOT NULL,              -- User-Agent of the last request
  requests INTEGER NOT NULL,
  records INTEGER NOT NULL,          -- stored
  refused INTEGER NOT NULL,          -- could not be read
  duplicates INTEGER NOT NULL,       -- were stored already, by the sender's id
  turned_away INTEGER NOT NULL,      -- requests answered with 503
  faults INTEGER NOT NULL,           -- requests that could not be read as a whole
  first_at_us INTEGER NOT NULL,
  last_at_us INTEGER NOT NULL,
  fault_at_us INTEGER NOT NULL,      -- 0: there was none
  fault TEXT NOT NULL,
  PRIMARY KEY (source, municipality, tenant, way)
) WITHOUT ROWID;
