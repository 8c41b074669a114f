-- The same schema as ../postgres; times are microseconds since 1970, booleans 0 and 1, ids 16 octets.
-- Proven accounts only; what is pending lives in `registrations`.
-- Names of unique indexes are API: src/store/error.rs maps them to conflicts.
CREATE TABLE users (
    id              BLOB PRIMARY KEY,
    email           TEXT,
    email_key       TEXT, -- lower-cased
    email_verified  INTEGER NOT NULL,
    mobile          TEXT, -- E.164
    mobile_verified INTEGER NOT NULL,
    login_id        TEXT,
    login_id_key    TEXT, -- lower-cased
    name            TEXT,
    locale          TEXT,
    password_hash   TEXT, -- PHC string
    epoch           INTEGER NOT NULL,
    disabled_at     INTEGER,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL
) STRICT;
-- An unproven address keeps nobody from proving it.
CREATE UNIQUE INDEX users_email_key ON users (email_key) WHERE email_verified;
CREATE UNIQUE INDEX users_mobile_key ON users (mobile) WHERE mobile_verified;
CREATE UNIQUE INDEX users_login_id_key ON users (login_id_key);
-- Who holds an address, proven or not.
CREATE INDEX users_email ON users (email_key);
CREATE INDEX users_mobile ON users (mobile);

CREATE TABLE registrations (
    id              BLOB PRIMARY KEY, -- the account's, once proven
    verification_id BLOB NOT NULL,
    destination     TEXT NOT NULL,
    email           TEXT,
    email_key       TEXT,
    mobile          TEXT,
    login_id        TEXT,
    login_id_key    TEXT,
    name            TEXT,
    locale          TEXT,
    password_hash   TEXT NOT NULL,
    client          BLOB NOT NULL, -- SHA-256 of the network it was last registered from
    last_code_at    INTEGER NOT NULL,
    expires_at      INTEGER NOT NULL,
    created_at      INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX registrations_verification_key ON registrations (verification_id);
CREATE UNIQUE INDEX registrations_destination_password_key ON registrations (destination, password_hash);
CREATE INDEX registrations_email ON registrations (email_key);
CREATE INDEX registrations_mobile ON registrations (mobile);
CREATE INDEX registrations_expiry ON registrations (expires_at);

CREATE TABLE verifications (
    id               BLOB PRIMARY KEY,
    issue            INTEGER NOT NULL, -- grows by one with each code
    purpose          TEXT NOT NULL,
    destination      TEXT NOT NULL,
    destination_hash BLOB NOT NULL,
    digits           INTEGER NOT NULL,
    tries            INTEGER NOT NULL,
    state            TEXT NOT NULL, -- 'expired' is never written
    phantom          INTEGER NOT NULL,
    changed_at       INTEGER NOT NULL,
    expires_at       INTEGER NOT NULL
) STRICT;
CREATE INDEX verifications_destination ON verifications (destination, purpose);
CREATE INDEX verifications_expiry ON verifications (expires_at);

CREATE TABLE destinations (
    hash       BLOB PRIMARY KEY, -- SHA-256 of the address: no key, it must outlive a key's rotation
    history    TEXT NOT NULL, -- JSON: the last day's sends and wrong guesses, by purpose
    lifted_at  INTEGER, -- guesses before it don't count: `enroll limits lift`
    touched_at INTEGER NOT NULL
) STRICT;
CREATE INDEX destinations_touched ON destinations (touched_at);

CREATE TABLE sessions (
    id         BLOB PRIMARY KEY,
    user_id    BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    counter    INTEGER NOT NULL,
    salt       BLOB NOT NULL,
    epoch      INTEGER NOT NULL, -- good only while it is the user's
    by_code    INTEGER NOT NULL, -- opened by a one-time code, not by the password
    user_agent TEXT,
    address    TEXT,
    created_at INTEGER NOT NULL,
    rotated_at INTEGER NOT NULL,
    ends_at    INTEGER NOT NULL, -- idle, and never after expires_at
    expires_at INTEGER NOT NULL, -- whatever it does
    revoked_at INTEGER
) STRICT;
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_end ON sessions (ends_at);

CREATE TABLE outbox (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    verification_id BLOB, -- none: a notice without a code
    issue           INTEGER,
    void            INTEGER NOT NULL, -- a phantom's: ends without a provider
    body            BLOB NOT NULL, -- sealed; emptied when the message ends
    state           TEXT NOT NULL,
    attempts        INTEGER NOT NULL,
    due_at          INTEGER NOT NULL, -- the lease too: a claim moves it on
    deadline        INTEGER NOT NULL,
    ended_at        INTEGER
) STRICT;
CREATE INDEX outbox_due ON outbox (due_at) WHERE state = 'queued';
CREATE INDEX outbox_ended ON outbox (ended_at) WHERE ended_at IS NOT NULL;
