-- What an SMS says: one line beside the message's subject and body. Emptied with the body.
ALTER TABLE notify_message ADD COLUMN short TEXT NOT NULL DEFAULT '';
