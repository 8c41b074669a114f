-- Which provider took the last code, for conversion by provider and country; kept as long as the row.
ALTER TABLE verifications ADD COLUMN provider TEXT;
ALTER TABLE verifications ADD COLUMN country TEXT; -- of a mobile, two letters
ALTER TABLE verifications ADD COLUMN segments INTEGER; -- of the text message that carried it
CREATE INDEX verifications_provider ON verifications (issued_at) WHERE provider IS NOT NULL;

-- Nobody listened to it; `enroll events retry` publishes it again.
ALTER TABLE events ADD COLUMN parked_at INTEGER;
