-- What a code belongs to, beside registrations: an account, as it was when the code was asked for.
ALTER TABLE verifications
    ADD COLUMN address    text,        -- as it is written to; `destination` is what it is compared by
    ADD COLUMN user_id    uuid,        -- none for registrations and phantoms
    ADD COLUMN epoch      bigint,      -- the account's, when the code was asked for
    ADD COLUMN asked_with bytea,       -- SHA-256 of the login id beside the address, if there was one
    ADD COLUMN issued_at  timestamptz NOT NULL DEFAULT now(); -- the last code's
UPDATE verifications SET issued_at = changed_at;
CREATE INDEX verifications_user ON verifications (user_id) WHERE user_id IS NOT NULL;

ALTER TABLE outbox ADD COLUMN user_id uuid; -- whom it names, if that is an account
CREATE INDEX outbox_user ON outbox (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX outbox_verification ON outbox (verification_id) WHERE verification_id IS NOT NULL;

-- What happened, in the order that the database numbered it; a row goes once it is published.
CREATE TABLE events (
    id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    body bytea NOT NULL -- sealed
);

-- What one node at a time does.
CREATE TABLE leases (
    name    text PRIMARY KEY,
    holder  uuid NOT NULL,
    ends_at timestamptz NOT NULL
);
