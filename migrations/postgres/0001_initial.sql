-- Proven accounts only; what is pending lives in `registrations`.
-- Names of unique indexes are API: src/store/error.rs maps them to conflicts.
CREATE TABLE users (
    id              uuid PRIMARY KEY,
    email           text,
    email_key       text, -- lower-cased
    email_verified  boolean NOT NULL,
    email_verified_at timestamptz,
    email_suspended_until timestamptz, -- opens nothing, and till then nobody else proves it
    mobile          text, -- E.164
    mobile_verified boolean NOT NULL,
    mobile_verified_at timestamptz,
    mobile_suspended_until timestamptz,
    login_id        text,
    login_id_key    text, -- lower-cased
    name            text,
    locale          text,
    data            text, -- a JSON object of the person's own
    claims          text, -- the operator's, copied into access tokens
    password_hash   text, -- PHC string, or as another system wrote it
    epoch           bigint NOT NULL, -- a step of it ends everything that was opened before
    disabled_at     timestamptz,
    password_closed_at timestamptz, -- after too many wrong passwords in a row
    session_opened_at timestamptz NOT NULL, -- to the hour; at first when the account was made
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL
);
-- An unproven address keeps nobody from proving it, unless it is suspended: whoever proves it first clears that once it is past.
CREATE UNIQUE INDEX users_email_key ON users (email_key) WHERE email_verified OR email_suspended_until IS NOT NULL;
CREATE UNIQUE INDEX users_mobile_key ON users (mobile) WHERE mobile_verified OR mobile_suspended_until IS NOT NULL;
CREATE UNIQUE INDEX users_login_id_key ON users (login_id_key);
-- The holders of an address, proven or not.
CREATE INDEX users_email ON users (email_key);
CREATE INDEX users_mobile ON users (mobile);

CREATE TABLE registrations (
    id              uuid PRIMARY KEY, -- the account's, once it is proven
    verification_id uuid NOT NULL,
    destination_key text NOT NULL,
    email           text,
    email_key       text,
    mobile          text,
    login_id        text,
    login_id_key    text,
    name            text,
    locale          text,
    data            text,
    password_hash   text, -- none without a password
    client_hash     bytea NOT NULL, -- SHA-256 of the network it was last registered from
    last_code_at    timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL,
    created_at      timestamptz NOT NULL
);
CREATE UNIQUE INDEX registrations_verification_key ON registrations (verification_id);
CREATE UNIQUE INDEX registrations_destination_password_key ON registrations (destination_key, password_hash);
CREATE INDEX registrations_email ON registrations (email_key);
CREATE INDEX registrations_mobile ON registrations (mobile);
CREATE INDEX registrations_expiry ON registrations (expires_at);

CREATE TABLE verifications (
    id               uuid PRIMARY KEY,
    generation       bigint NOT NULL, -- grows by one with each code
    purpose          text NOT NULL,
    destination      text NOT NULL, -- as it is written to
    destination_key  text NOT NULL, -- as it is compared
    destination_hash bytea NOT NULL,
    record_key       bytea NOT NULL, -- of the way that it was asked for
    digits           integer NOT NULL,
    tries            integer NOT NULL,
    state            text NOT NULL, -- 'expired' is never written
    phantom          boolean NOT NULL, -- requested for an unknown address
    user_id          uuid, -- none for registrations and phantoms
    epoch            bigint, -- the account's when the code was requested
    login_id_hash    bytea, -- SHA-256 of the login id beside the address, if there was one
    asked_in         uuid, -- the session that asked for a contact change
    asked_from       bytea, -- SHA-256 of its network
    sign_up          text, -- JSON: the details of the account that a login code may make, until it is used
    changed_at       timestamptz NOT NULL,
    issued_at        timestamptz NOT NULL, -- the last code's
    expires_at       timestamptz NOT NULL,
    provider         text, -- which took the last code
    country          text, -- of a mobile, two letters
    segments         integer -- text messages that the last code went as
);
CREATE INDEX verifications_destination ON verifications (destination_key, purpose);
CREATE INDEX verifications_expiry ON verifications (expires_at);
CREATE INDEX verifications_user ON verifications (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX verifications_asked ON verifications (asked_in) WHERE asked_in IS NOT NULL;
CREATE INDEX verifications_provider ON verifications (issued_at) WHERE provider IS NOT NULL;

CREATE TABLE destinations (
    hash       bytea PRIMARY KEY, -- SHA-256 of the address, with the login id beside it if there is one; unkeyed, since it must outlive a key's rotation
    address_hash bytea, -- of a row with a login id
    history    text NOT NULL, -- JSON: the last day's sends and failed attempts, by purpose
    lifted_at  timestamptz, -- attempts before it do not count: `enroll limits lift`
    version    bigint  NOT NULL DEFAULT 0, -- grows with the history, for writers that did not lock the row
    touched_at timestamptz NOT NULL
);
CREATE INDEX destinations_touched ON destinations (touched_at);
CREATE INDEX destinations_address ON destinations (address_hash) WHERE address_hash IS NOT NULL;

CREATE TABLE sessions (
    id           uuid PRIMARY KEY,
    user_id      uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    counter      bigint NOT NULL, -- grows by one with each refresh
    used_counter bigint NOT NULL, -- the last one whose tokens were seen in use
    salt         bytea NOT NULL,
    epoch        bigint NOT NULL, -- valid only while it is the user's
    opened_by    bytea, -- SHA-256 of the address whose code opened it; none: the password did
    user_agent   text,
    ip           text,
    created_at   timestamptz NOT NULL,
    rotated_at   timestamptz NOT NULL,
    ends_at      timestamptz NOT NULL, -- when idle, and never after expires_at
    expires_at   timestamptz NOT NULL, -- in any case
    revoked_at   timestamptz
);
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_end ON sessions (ends_at);

CREATE TABLE outbox (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    verification_id uuid, -- none: a notice without a code
    generation      bigint,
    phantom         boolean NOT NULL, -- ends without a provider
    user_id         uuid, -- the account that it names
    body            bytea NOT NULL, -- sealed; emptied when the message ends
    state           text NOT NULL,
    destination     text NOT NULL, -- masked
    provider        text, -- the one tried last
    last_error      text,
    traceparent     text, -- of the request that asked for it (W3C Trace Context)
    attempts        integer NOT NULL,
    due_at          timestamptz NOT NULL, -- the lease too: leasing moves it on
    deadline        timestamptz NOT NULL,
    ended_at        timestamptz
);
CREATE INDEX outbox_due ON outbox (due_at, id) WHERE state = 'queued';
CREATE INDEX outbox_ended ON outbox (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX outbox_user ON outbox (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX outbox_verification ON outbox (verification_id) WHERE verification_id IS NOT NULL;

-- In the order of the numbers, of which a lower one may commit later: so each sink has a mark on each event. A row goes
-- once every configured sink has it.
CREATE TABLE events (
    id                bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_key         uuid NOT NULL, -- the account, whose events go in order; the event's own id where it is nobody's
    body              bytea NOT NULL, -- sealed
    has_user          boolean NOT NULL, -- the body describes the account, until that is deleted
    created_at        timestamptz NOT NULL,
    rabbitmq_at       timestamptz, -- RabbitMQ has it, or the log where there is none
    rabbitmq_aside_at timestamptz, -- no queue received it: `enroll events retry`
    webhook_at        timestamptz, -- the webhook has it, or is not meant to
    webhook_aside_at  timestamptz, -- given up after three days: `enroll events retry`
    requeued_at       timestamptz -- the three days count from then
);
CREATE INDEX events_rabbitmq ON events (id) WHERE rabbitmq_at IS NULL AND rabbitmq_aside_at IS NULL;
CREATE INDEX events_user ON events (order_key) WHERE has_user;
CREATE INDEX events_webhook ON events (id) WHERE webhook_at IS NULL AND webhook_aside_at IS NULL;

-- What happened to an account or an address; of a deleted account times, kinds and outcomes stay.
CREATE TABLE audit (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at               timestamptz NOT NULL,
    kind             text NOT NULL,
    outcome          text NOT NULL,
    detail           text,
    user_id          uuid,
    destination_hash bytea,
    destination      text, -- masked
    verification_id  uuid,
    client           text,
    user_agent       text,
    provider         text,
    reference        text, -- the provider's own id of the message
    took_ms          integer,
    times            integer NOT NULL,
    hour             bigint -- of Unix time; of refusals, which are one row an hour
);

CREATE UNIQUE INDEX audit_refusals ON audit (destination_hash, outcome, hour) WHERE hour IS NOT NULL;
CREATE INDEX audit_destination ON audit (destination_hash, at) WHERE destination_hash IS NOT NULL;
CREATE INDEX audit_user ON audit (user_id, at) WHERE user_id IS NOT NULL;
CREATE INDEX audit_at ON audit (at);

-- Rights that one node at a time has.
CREATE TABLE leases (
    name    text PRIMARY KEY,
    holder  uuid NOT NULL,
    ends_at timestamptz NOT NULL
);

-- The root keys that this database was used with; a node that has none of them is refused.
CREATE TABLE root_keys (
    id            text PRIMARY KEY, -- derived from the key, and tells nothing of it
    first_used_at timestamptz NOT NULL
);

-- The pumping guard's counts by five minutes: of a prefix of mobile numbers, and for the ceilings of a region and of all.
CREATE TABLE prefix_counts (
    prefix     text NOT NULL, -- digits; two letters; or '*'
    slot       bigint NOT NULL, -- five minutes of Unix time
    sent       bigint NOT NULL,
    verified   bigint NOT NULL,
    unripe     bigint NOT NULL, -- neither verified nor two minutes old
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (prefix, slot)
);
CREATE INDEX prefix_counts_changed ON prefix_counts (changed_at);
CREATE INDEX prefix_counts_slot ON prefix_counts (slot);

-- The prefixes that are held, or were lifted.
CREATE TABLE prefix_states (
    prefix     text PRIMARY KEY,
    held_since bigint, -- milliseconds
    lifted_at  bigint, -- milliseconds; what was counted before it does not count
    slot       bigint NOT NULL, -- that of the lift, and what it had counted
    sent       bigint NOT NULL,
    verified   bigint NOT NULL,
    unripe     bigint NOT NULL,
    changed_at timestamptz NOT NULL
);

-- The networks that an account's sessions were opened from: from there a few more codes are sent.
CREATE TABLE known_networks (
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    network bytea NOT NULL, -- SHA-256 of the account's id and the network
    seen_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, network)
);
CREATE INDEX known_networks_seen ON known_networks (seen_at);

-- The addresses that may register though registration is closed, or their domain is not accepted.
CREATE TABLE invitations (
    hash    bytea PRIMARY KEY, -- SHA-256 of the address
    ends_at timestamptz NOT NULL
);
CREATE INDEX invitations_end ON invitations (ends_at);
