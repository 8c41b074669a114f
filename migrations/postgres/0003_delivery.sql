-- Which provider took the last code, for conversion by provider and country; kept as long as the row.
ALTER TABLE verifications
    ADD COLUMN provider text,
    ADD COLUMN country  text, -- of a mobile, two letters
    ADD COLUMN segments integer; -- of the text message that carried it
CREATE INDEX verifications_provider ON verifications (issued_at) WHERE provider IS NOT NULL;

-- Nobody listened to it; `enroll events retry` publishes it again.
ALTER TABLE events ADD COLUMN parked_at timestamptz;
