-- What a code belongs to, beside registrations: an account, as it was when the code was asked for.
ALTER TABLE verifications ADD COLUMN address TEXT; -- as it is written to; `destination` is what it is compared by
ALTER TABLE verifications ADD COLUMN user_id BLOB; -- none for registrations and phantoms
ALTER TABLE verifications ADD COLUMN epoch INTEGER; -- the account's, when the code was asked for
ALTER TABLE verifications ADD COLUMN asked_with BLOB; -- SHA-256 of the login id beside the address, if there was one
ALTER TABLE verifications ADD COLUMN issued_at INTEGER NOT NULL DEFAULT 0; -- the last code's
UPDATE verifications SET issued_at = changed_at;
CREATE INDEX verifications_user ON verifications (user_id) WHERE user_id IS NOT NULL;

ALTER TABLE outbox ADD COLUMN user_id BLOB; -- whom it names, if that is an account
CREATE INDEX outbox_user ON outbox (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX outbox_verification ON outbox (verification_id) WHERE verification_id IS NOT NULL;

-- What happened, in the order that the database numbered it; a row goes once it is published.
CREATE TABLE events (
    id   INTEGER PRIMARY KEY AUTOINCREMENT,
    body BLOB NOT NULL -- sealed
) STRICT;

-- What one node at a time does.
CREATE TABLE leases (
    name    TEXT PRIMARY KEY,
    holder  BLOB NOT NULL,
    ends_at INTEGER NOT NULL
) STRICT;
