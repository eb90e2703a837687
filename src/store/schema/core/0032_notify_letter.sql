-- Mail to an address that is on no contact card. Both are emptied with the body, when it is delivered or given up.
ALTER TABLE notify_message ADD COLUMN address TEXT NOT NULL DEFAULT '';
ALTER TABLE notify_message ADD COLUMN headers TEXT NOT NULL DEFAULT ''; -- "Name: value", one a line
