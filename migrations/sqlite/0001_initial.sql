-- The schema of ../postgres; times are microseconds of Unix time, booleans 0 and 1, ids 16 octets.
-- Proven accounts only; what is pending lives in `registrations`.
-- Names of unique indexes are API: src/store/error.rs maps them to conflicts.
CREATE TABLE users (
    id              BLOB PRIMARY KEY,
    email           TEXT,
    email_key       TEXT, -- lower-cased
    email_verified  INTEGER NOT NULL,
    email_verified_at INTEGER,
    email_suspended_until INTEGER, -- opens nothing, and till then nobody else proves it
    mobile          TEXT, -- E.164
    mobile_verified INTEGER NOT NULL,
    mobile_verified_at INTEGER,
    mobile_suspended_until INTEGER,
    login_id        TEXT,
    login_id_key    TEXT, -- lower-cased
    name            TEXT,
    locale          TEXT,
    data            TEXT, -- a JSON object of the person's own
    claims          TEXT, -- the operator's, copied into access tokens
    password_hash   TEXT, -- PHC string, or as another system wrote it
    epoch           INTEGER NOT NULL, -- a step of it ends everything that was opened before
    disabled_at     INTEGER,
    password_closed_at INTEGER, -- after too many wrong passwords in a row
    session_opened_at INTEGER NOT NULL, -- to the hour; at first when the account was made
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL
) STRICT;
-- An unproven address keeps nobody from proving it, unless it is suspended: whoever proves it first clears that once it is past.
CREATE UNIQUE INDEX users_email_key ON users (email_key) WHERE email_verified OR email_suspended_until IS NOT NULL;
CREATE UNIQUE INDEX users_mobile_key ON users (mobile) WHERE mobile_verified OR mobile_suspended_until IS NOT NULL;
CREATE UNIQUE INDEX users_login_id_key ON users (login_id_key);
-- The holders of an address, proven or not.
CREATE INDEX users_email ON users (email_key);
CREATE INDEX users_mobile ON users (mobile);

CREATE TABLE registrations (
    id              BLOB PRIMARY KEY, -- the account's, once it is proven
    verification_id BLOB NOT NULL,
    destination_key TEXT NOT NULL,
    email           TEXT,
    email_key       TEXT,
    mobile          TEXT,
    login_id        TEXT,
    login_id_key    TEXT,
    name            TEXT,
    locale          TEXT,
    data            TEXT,
    password_hash   TEXT, -- none without a password
    client_hash     BLOB NOT NULL, -- SHA-256 of the network it was last registered from
    last_code_at    INTEGER NOT NULL,
    expires_at      INTEGER NOT NULL,
    created_at      INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX registrations_verification_key ON registrations (verification_id);
CREATE UNIQUE INDEX registrations_destination_password_key ON registrations (destination_key, password_hash);
CREATE INDEX registrations_email ON registrations (email_key);
CREATE INDEX registrations_mobile ON registrations (mobile);
CREATE INDEX registrations_expiry ON registrations (expires_at);

CREATE TABLE verifications (
    id               BLOB PRIMARY KEY,
    generation       INTEGER NOT NULL, -- grows by one with each code
    purpose          TEXT NOT NULL,
    destination      TEXT NOT NULL, -- as it is written to
    destination_key  TEXT NOT NULL, -- as it is compared
    destination_hash BLOB NOT NULL,
    record_key       BLOB NOT NULL, -- of the way that it was asked for
    digits           INTEGER NOT NULL,
    tries            INTEGER NOT NULL,
    state            TEXT NOT NULL, -- 'expired' is never written
    phantom          INTEGER NOT NULL, -- requested for an unknown address
    user_id          BLOB, -- none for registrations and phantoms
    epoch            INTEGER, -- the account's when the code was requested
    login_id_hash    BLOB, -- SHA-256 of the login id beside the address, if there was one
    asked_in         BLOB, -- the session that asked for a contact change
    asked_from       BLOB, -- SHA-256 of its network
    sign_up          TEXT, -- JSON: the details of the account that a login code may make, until it is used
    changed_at       INTEGER NOT NULL,
    issued_at        INTEGER NOT NULL, -- the last code's
    expires_at       INTEGER NOT NULL,
    provider         TEXT, -- which took the last code
    country          TEXT, -- of a mobile, two letters
    segments         INTEGER -- text messages that the last code went as
) STRICT;
CREATE INDEX verifications_destination ON verifications (destination_key, purpose);
CREATE INDEX verifications_expiry ON verifications (expires_at);
CREATE INDEX verifications_user ON verifications (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX verifications_asked ON verifications (asked_in) WHERE asked_in IS NOT NULL;
CREATE INDEX verifications_provider ON verifications (issued_at) WHERE provider IS NOT NULL;

CREATE TABLE destinations (
    hash       BLOB PRIMARY KEY, -- SHA-256 of the address, with the login id beside it if there is one; unkeyed, since it must outlive a key's rotation
    address_hash BLOB, -- of a row with a login id
    history    TEXT NOT NULL, -- JSON: the last day's sends and failed attempts, by purpose
    lifted_at  INTEGER, -- attempts before it do not count: `enroll limits lift`
    version    INTEGER NOT NULL DEFAULT 0, -- grows with the history, for writers that did not lock the row
    touched_at INTEGER NOT NULL
) STRICT;
CREATE INDEX destinations_touched ON destinations (touched_at);
CREATE INDEX destinations_address ON destinations (address_hash) WHERE address_hash IS NOT NULL;

CREATE TABLE sessions (
    id           BLOB PRIMARY KEY,
    user_id      BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    counter      INTEGER NOT NULL, -- grows by one with each refresh
    used_counter INTEGER NOT NULL, -- the last one whose tokens were seen in use
    salt         BLOB NOT NULL,
    epoch        INTEGER NOT NULL, -- valid only while it is the user's
    opened_by    BLOB, -- SHA-256 of the address whose code opened it; none: the password did
    user_agent   TEXT,
    ip           TEXT,
    created_at   INTEGER NOT NULL,
    rotated_at   INTEGER NOT NULL,
    ends_at      INTEGER NOT NULL, -- when idle, and never after expires_at
    expires_at   INTEGER NOT NULL, -- in any case
    revoked_at   INTEGER
) STRICT;
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_end ON sessions (ends_at);

CREATE TABLE outbox (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    verification_id BLOB, -- none: a notice without a code
    generation      INTEGER,
    phantom         INTEGER NOT NULL, -- ends without a provider
    user_id         BLOB, -- the account that it names
    body            BLOB NOT NULL, -- sealed; emptied when the message ends
    state           TEXT NOT NULL,
    destination     TEXT NOT NULL, -- masked
    provider        TEXT, -- the one tried last
    last_error      TEXT,
    traceparent     TEXT, -- of the request that asked for it (W3C Trace Context)
    attempts        INTEGER NOT NULL,
    due_at          INTEGER NOT NULL, -- the lease too: leasing moves it on
    deadline        INTEGER NOT NULL,
    ended_at        INTEGER
) STRICT;
CREATE INDEX outbox_due ON outbox (due_at, id) WHERE state = 'queued';
CREATE INDEX outbox_ended ON outbox (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX outbox_user ON outbox (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX outbox_verification ON outbox (verification_id) WHERE verification_id IS NOT NULL;

-- In the order of the numbers, of which a lower one may commit later: so each sink has a mark on each event. A row goes
-- once every configured sink has it.
CREATE TABLE events (
    id                INTEGER PRIMARY KEY AUTOINCREMENT,
    order_key         BLOB NOT NULL, -- the account, whose events go in order; the event's own id where it is nobody's
    body              BLOB NOT NULL, -- sealed
    has_user          INTEGER NOT NULL, -- the body describes the account, until that is deleted
    created_at        INTEGER NOT NULL,
    rabbitmq_at       INTEGER, -- RabbitMQ has it, or the log where there is none
    rabbitmq_aside_at INTEGER, -- no queue received it: `enroll events retry`
    webhook_at        INTEGER, -- the webhook has it, or is not meant to
    webhook_aside_at  INTEGER, -- given up after three days: `enroll events retry`
    requeued_at       INTEGER -- the three days count from then
) STRICT;
CREATE INDEX events_rabbitmq ON events (id) WHERE rabbitmq_at IS NULL AND rabbitmq_aside_at IS NULL;
CREATE INDEX events_user ON events (order_key) WHERE has_user;
CREATE INDEX events_webhook ON events (id) WHERE webhook_at IS NULL AND webhook_aside_at IS NULL;

-- What happened to an account or an address; of a deleted account times, kinds and outcomes stay.
CREATE TABLE audit (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    at               INTEGER NOT NULL,
    kind             TEXT NOT NULL,
    outcome          TEXT NOT NULL,
    detail           TEXT,
    user_id          BLOB,
    destination_hash BLOB,
    destination      TEXT, -- masked
    verification_id  BLOB,
    client           TEXT,
    user_agent       TEXT,
    provider         TEXT,
    reference        TEXT, -- the provider's own id of the message
    took_ms          INTEGER,
    times            INTEGER NOT NULL,
    hour             INTEGER -- of Unix time; of refusals, which are one row an hour
) STRICT;

CREATE UNIQUE INDEX audit_refusals ON audit (destination_hash, outcome, hour) WHERE hour IS NOT NULL;
CREATE INDEX audit_destination ON audit (destination_hash, at) WHERE destination_hash IS NOT NULL;
CREATE INDEX audit_user ON audit (user_id, at) WHERE user_id IS NOT NULL;
CREATE INDEX audit_at ON audit (at);

-- Rights that one node at a time has.
CREATE TABLE leases (
    name    TEXT PRIMARY KEY,
    holder  BLOB NOT NULL,
    ends_at INTEGER NOT NULL
) STRICT;

-- The root keys that this database was used with; a node that has none of them is refused.
CREATE TABLE root_keys (
    id            TEXT PRIMARY KEY, -- derived from the key, and tells nothing of it
    first_used_at INTEGER NOT NULL
) STRICT;

-- The pumping guard's counts by five minutes: of a prefix of mobile numbers, and for the ceilings of a region and of all.
CREATE TABLE prefix_counts (
    prefix     TEXT NOT NULL, -- digits; two letters; or '*'
    slot       INTEGER NOT NULL, -- five minutes of Unix time
    sent       INTEGER NOT NULL,
    verified   INTEGER NOT NULL,
    unripe     INTEGER NOT NULL, -- neither verified nor two minutes old
    changed_at INTEGER NOT NULL,
    PRIMARY KEY (prefix, slot)
) STRICT;
CREATE INDEX prefix_counts_changed ON prefix_counts (changed_at);
CREATE INDEX prefix_counts_slot ON prefix_counts (slot);

-- The prefixes that are held, or were lifted.
CREATE TABLE prefix_states (
    prefix     TEXT PRIMARY KEY,
    held_since INTEGER, -- milliseconds
    lifted_at  INTEGER, -- milliseconds; what was counted before it does not count
    slot       INTEGER NOT NULL, -- that of the lift, and what it had counted
    sent       INTEGER NOT NULL,
    verified   INTEGER NOT NULL,
    unripe     INTEGER NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT;

-- The networks that an account's sessions were opened from: from there a few more codes are sent.
CREATE TABLE known_networks (
    user_id BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    network BLOB NOT NULL, -- SHA-256 of the account's id and the network
    seen_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, network)
) STRICT;
CREATE INDEX known_networks_seen ON known_networks (seen_at);

-- The addresses that may register though registration is closed, or their domain is not accepted.
CREATE TABLE invitations (
    hash    BLOB PRIMARY KEY, -- SHA-256 of the address
    ends_at INTEGER NOT NULL
) STRICT;
CREATE INDEX invitations_end ON invitations (ends_at);
