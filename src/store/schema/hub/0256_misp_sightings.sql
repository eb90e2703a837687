-- What nodes see becomes sightings, and sightings of others move indicators.
ALTER TABLE misp_sighting ADD COLUMN voice INTEGER NOT NULL DEFAULT 0;   -- 0 somebody, 1 who made the event, 2 our own people
ALTER TABLE misp_sighting ADD COLUMN tlp INTEGER NOT NULL DEFAULT 0;     -- of the sighting itself
ALTER TABLE misp_sighting ADD COLUMN inside INTEGER NOT NULL DEFAULT 0;  -- 1: partners do not learn of it
ALTER TABLE misp_sighting ADD COLUMN telling INTEGER NOT NULL DEFAULT 0; -- to the partner whose event it is: 1 waits, 2 told, 3 not taken
CREATE INDEX misp_sighting_telling ON misp_sighting (id) WHERE telling = 1;
CREATE INDEX misp_sighting_judging ON misp_sighting (event) WHERE type > 0;
