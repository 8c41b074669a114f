-- Proven accounts only; what is pending lives in `registrations`.
-- Names of unique indexes are API: src/store/error.rs maps them to conflicts.
CREATE TABLE users (
    id              uuid PRIMARY KEY,
    email           text,
    email_key       text, -- lower-cased
    email_verified  boolean NOT NULL,
    mobile          text, -- E.164
    mobile_verified boolean NOT NULL,
    login_id        text,
    login_id_key    text, -- lower-cased
    name            text,
    locale          text,
    password_hash   text, -- PHC string
    epoch           bigint NOT NULL,
    disabled_at     timestamptz,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL
);
-- An unproven address keeps nobody from proving it.
CREATE UNIQUE INDEX users_email_key ON users (email_key) WHERE email_verified;
CREATE UNIQUE INDEX users_mobile_key ON users (mobile) WHERE mobile_verified;
CREATE UNIQUE INDEX users_login_id_key ON users (login_id_key);
-- Who holds an address, proven or not.
CREATE INDEX users_email ON users (email_key);
CREATE INDEX users_mobile ON users (mobile);

CREATE TABLE registrations (
    id              uuid PRIMARY KEY, -- the account's, once proven
    verification_id uuid NOT NULL,
    destination     text NOT NULL,
    email           text,
    email_key       text,
    mobile          text,
    login_id        text,
    login_id_key    text,
    name            text,
    locale          text,
    password_hash   text NOT NULL,
    client          bytea NOT NULL, -- SHA-256 of the network it was last registered from
    last_code_at    timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL,
    created_at      timestamptz NOT NULL
);
CREATE UNIQUE INDEX registrations_verification_key ON registrations (verification_id);
CREATE UNIQUE INDEX registrations_destination_password_key ON registrations (destination, password_hash);
CREATE INDEX registrations_email ON registrations (email_key);
CREATE INDEX registrations_mobile ON registrations (mobile);
CREATE INDEX registrations_expiry ON registrations (expires_at);

CREATE TABLE verifications (
    id               uuid PRIMARY KEY,
    issue            bigint NOT NULL, -- grows by one with each code
    purpose          text NOT NULL,
    destination      text NOT NULL,
    destination_hash bytea NOT NULL,
    digits           integer NOT NULL,
    tries            integer NOT NULL,
    state            text NOT NULL, -- 'expired' is never written
    phantom          boolean NOT NULL,
    changed_at       timestamptz NOT NULL,
    expires_at       timestamptz NOT NULL
);
CREATE INDEX verifications_destination ON verifications (destination, purpose);
CREATE INDEX verifications_expiry ON verifications (expires_at);

CREATE TABLE destinations (
    hash       bytea PRIMARY KEY, -- SHA-256 of the address: no key, it must outlive a key's rotation
    history    text NOT NULL, -- JSON: the last day's sends and wrong guesses, by purpose
    lifted_at  timestamptz, -- guesses before it don't count: `enroll limits lift`
    touched_at timestamptz NOT NULL
);
CREATE INDEX destinations_touched ON destinations (touched_at);

CREATE TABLE sessions (
    id         uuid PRIMARY KEY,
    user_id    uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    counter    bigint NOT NULL,
    salt       bytea NOT NULL,
    epoch      bigint NOT NULL, -- good only while it is the user's
    by_code    boolean NOT NULL, -- opened by a one-time code, not by the password
    user_agent text,
    address    text,
    created_at timestamptz NOT NULL,
    rotated_at timestamptz NOT NULL,
    ends_at    timestamptz NOT NULL, -- idle, and never after expires_at
    expires_at timestamptz NOT NULL, -- whatever it does
    revoked_at timestamptz
);
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_end ON sessions (ends_at);

CREATE TABLE outbox (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    verification_id uuid, -- none: a notice without a code
    issue           bigint,
    void            boolean NOT NULL, -- a phantom's: ends without a provider
    body            bytea NOT NULL, -- sealed; emptied when the message ends
    state           text NOT NULL,
    attempts        integer NOT NULL,
    due_at          timestamptz NOT NULL, -- the lease too: a claim moves it on
    deadline        timestamptz NOT NULL,
    ended_at        timestamptz
);
CREATE INDEX outbox_due ON outbox (due_at) WHERE state = 'queued';
CREATE INDEX outbox_ended ON outbox (ended_at) WHERE ended_at IS NOT NULL;
