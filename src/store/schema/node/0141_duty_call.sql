-- Calls to the duty contact that this node made by itself, and those it did not make to stay within the budget.
CREATE TABLE duty_call (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  municipality INTEGER NOT NULL,
  account TEXT NOT NULL,
  at_us INTEGER NOT NULL,
  night INTEGER NOT NULL,
  taken INTEGER NOT NULL,       -- the account showed signs of a takeover
  messages INTEGER NOT NULL,    -- 0: withheld, or there was nobody to call
  withheld TEXT NOT NULL        -- why; empty: called
) STRICT;
CREATE INDEX duty_call_at ON duty_call (municipality, at_us);
