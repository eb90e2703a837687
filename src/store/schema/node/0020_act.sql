-- Orders that came to this node, and the tests of its mandate. Nonces are kept for ever: an order counts once.
CREATE TABLE act_nonce (
  nonce TEXT PRIMARY KEY,
  order_id TEXT NOT NULL,
  at_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE act_order (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  order_id TEXT NOT NULL,
  action TEXT NOT NULL,
  target TEXT NOT NULL,
  received_at_us INTEGER NOT NULL,
  done INTEGER NOT NULL,         -- 1: carried out
  reason TEXT NOT NULL,          -- why not, or what was done
  proof TEXT                     -- signed by this node
) STRICT;
CREATE INDEX act_order_done ON act_order (action, done, received_at_us);

CREATE TABLE act_test (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  started_at_us INTEGER NOT NULL,
  passed_at_us INTEGER
) STRICT;
