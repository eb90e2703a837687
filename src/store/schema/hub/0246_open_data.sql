-- Counts of closed months, counted once: what was published never changes, so that nothing can be learned from the difference.
CREATE TABLE open_data_month (
  month TEXT PRIMARY KEY,         -- 2024-10, by UTC
  counted_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE open_data_count (
  month TEXT NOT NULL,
  measure TEXT NOT NULL,
  kind TEXT NOT NULL,             -- empty: not by kind
  value INTEGER NOT NULL,
  behind INTEGER NOT NULL,        -- municipalities (or things, where no municipality is known) that the number stands on
  PRIMARY KEY (month, measure, kind)
) STRICT, WITHOUT ROWID;
