-- Expert texts and reports, with the indicators that were found in them and what a person decided about each.
CREATE TABLE bulletin (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  uuid TEXT NOT NULL UNIQUE,      -- its name in feeds, for ever
  state TEXT NOT NULL,            -- draft, published, withdrawn
  kind TEXT NOT NULL,             -- bulletin, report
  tlp TEXT NOT NULL,
  source TEXT NOT NULL,           -- who wrote it
  file TEXT NOT NULL,             -- of a report; else empty
  version INTEGER NOT NULL,
  written_by TEXT NOT NULL,
  written_us INTEGER NOT NULL,
  published_by TEXT NOT NULL,
  published_us INTEGER NOT NULL,  -- 0: never
  withdrawn_why TEXT NOT NULL
) STRICT;
CREATE INDEX bulletin_state ON bulletin (state, id);
CREATE TABLE bulletin_text (
  bulletin INTEGER NOT NULL REFERENCES bulletin (id) ON DELETE CASCADE,
  language TEXT NOT NULL,         -- da, nb, en
  title TEXT NOT NULL,
  markdown TEXT NOT NULL,         -- of a report: plain text
  PRIMARY KEY (bulletin, language)
) STRICT, WITHOUT ROWID;
CREATE TABLE bulletin_found (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  bulletin INTEGER NOT NULL REFERENCES bulletin (id) ON DELETE CASCADE,
  kind TEXT NOT NULL,
  value TEXT NOT NULL,
  places TEXT NOT NULL,           -- JSON: [{"language","from","to","around"}]
  state TEXT NOT NULL,            -- found, confirmed, refused
  action TEXT NOT NULL,           -- of a confirmed one
  confidence INTEGER NOT NULL,
  decided_by TEXT NOT NULL,
  there INTEGER NOT NULL,         -- 0: an edit took it out; what was decided is kept in case it comes back
  published INTEGER NOT NULL,     -- 1: nodes have it
  UNIQUE (bulletin, kind, value)
) STRICT;
