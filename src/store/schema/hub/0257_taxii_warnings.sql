-- Objects of pool 0 that are not made of the book, by what they are of: warnings, and what was withdrawn.
CREATE INDEX taxii_object_made ON taxii_object (source, added_us) WHERE pool = 0 AND book = 0;
