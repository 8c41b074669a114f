//! Everything in which the SQL of the two databases differs: a dozen fragments. A statement is one text, in which
//! a fragment is named where it belongs.

/// A statement as each database takes it.
#[derive(Debug, Clone, Copy)]
pub struct Sql {
    /// For PostgreSQL.
    pub postgres: &'static str,
    /// For SQLite.
    pub sqlite: &'static str,
}

/// The fragments: locks, lists that are bound as JSON, and columns and conditions that several statements have.
macro_rules! fragment {
    ($database:ident $text:literal) => {
        $text
    };
    // SQLite must take the write lock first: a read that upgrades fails if another connection wrote meanwhile.
    (postgres BEGIN) => {
        "BEGIN"
    };
    (sqlite BEGIN) => {
        "BEGIN IMMEDIATE"
    };
    (postgres NOW_MICROS) => {
        "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
    };
    (sqlite NOW_MICROS) => {
        "CAST(strftime('%s', 'now') AS INTEGER) * 1000000"
    };
    (postgres IS_WRITABLE) => {
        "current_setting('transaction_read_only') = 'off'"
    };
    (sqlite IS_WRITABLE) => {
        "TRUE"
    };
    (postgres IS_UTF8) => {
        "current_setting('server_encoding') = 'UTF8'"
    };
    (sqlite IS_UTF8) => {
        "TRUE"
    };
    (postgres FOR_SHARE) => {
        " FOR SHARE"
    };
    (sqlite FOR_SHARE) => {
        ""
    };
    (postgres FOR_KEY_SHARE) => {
        " FOR KEY SHARE"
    };
    (sqlite FOR_KEY_SHARE) => {
        ""
    };
    (postgres FOR_NO_KEY_UPDATE) => {
        " FOR NO KEY UPDATE"
    };
    (sqlite FOR_NO_KEY_UPDATE) => {
        ""
    };
    (postgres FOR_UPDATE) => {
        " FOR UPDATE"
    };
    (sqlite FOR_UPDATE) => {
        ""
    };
    (postgres SKIP_LOCKED) => {
        " FOR UPDATE SKIP LOCKED"
    };
    (sqlite SKIP_LOCKED) => {
        ""
    };
    // An array is a condition of an index; a query might be joined to a whole one that was empty when it was planned.
    (postgres IN_TEXTS) => {
        " = ANY (ARRAY(SELECT json_array_elements_text($1::json)))"
    };
    (sqlite IN_TEXTS) => {
        " IN (SELECT value FROM json_each($1))"
    };
    (postgres IN_NUMBERS) => {
        " = ANY (ARRAY(SELECT value::bigint FROM json_array_elements_text($1::json)))"
    };
    (sqlite IN_NUMBERS) => {
        " IN (SELECT value FROM json_each($1))"
    };
    (postgres IN_UUIDS) => {
        " = ANY (ARRAY(SELECT value::uuid FROM json_array_elements_text($1::json)))"
    };
    (sqlite IN_UUIDS) => {
        " IN (SELECT unhex(value, '-') FROM json_each($1))"
    };
    (postgres NOT_IN_UUIDS) => {
        " NOT IN (SELECT value::uuid FROM json_array_elements_text($1::json))"
    };
    (sqlite NOT_IN_UUIDS) => {
        " NOT IN (SELECT unhex(value, '-') FROM json_each($1))"
    };
    (postgres DELTAS) => {
        "json_to_recordset($1::json) AS d (prefix text, slot bigint, sent bigint, verified bigint, unripe bigint)"
    };
    (sqlite DELTAS) => {
        "(SELECT value ->> 'prefix' AS prefix, value ->> 'slot' AS slot, value ->> 'sent' AS sent,
         value ->> 'verified' AS verified, value ->> 'unripe' AS unripe FROM json_each($1))"
    };
    // The same columns in several statements.
    ($database:ident USER) => {
        "u.id, u.email, u.email_verified, u.email_verified_at, u.email_suspended_until, u.mobile, u.mobile_verified,
         u.mobile_verified_at, u.mobile_suspended_until, u.login_id, u.name, u.locale, u.data, u.claims,
         u.password_hash, u.epoch, u.disabled_at, u.password_closed_at, u.session_opened_at, u.created_at, u.updated_at"
    };
    // The account that has proven an address; if none has, the one that has held it longest.
    ($database:ident OF_EMAIL) => {
        " FROM users u WHERE u.email_key = $1 AND u.email_suspended_until IS NULL
         AND (u.email_verified OR u.disabled_at IS NULL) ORDER BY u.email_verified DESC, u.created_at, u.id LIMIT 1"
    };
    ($database:ident OF_MOBILE) => {
        " FROM users u WHERE u.mobile = $1 AND u.mobile_suspended_until IS NULL
         AND (u.mobile_verified OR u.disabled_at IS NULL) ORDER BY u.mobile_verified DESC, u.created_at, u.id LIMIT 1"
    };
    ($database:ident OF_LOGIN_ID) => {
        " FROM users u WHERE u.login_id_key = $1"
    };
    // One row, whether or not there is an account.
    ($database:ident LOGIN_STATE) => {
        concat!(
            "SELECT d.lifted_at, ", $crate::store::dialect::fragment!($database USER), " FROM (SELECT 1 AS one) single
            LEFT JOIN destinations d ON d.hash = $2 LEFT JOIN users u ON u.id = "
        )
    };
    ($database:ident REGISTRATION) => {
        "r.id, r.verification_id, r.destination_key, r.email, r.mobile, r.login_id, r.name, r.locale,
         r.data, r.password_hash, r.client_hash, r.last_code_at, r.expires_at, r.created_at"
    };
    ($database:ident SESSION) => {
        "id, user_id, counter, used_counter, salt, epoch, opened_by, user_agent, ip, created_at, rotated_at, ends_at,
         expires_at"
    };
    // Beside those of its account.
    ($database:ident VALID_SESSION) => {
        concat!(
            "s.id AS session_id, s.counter, s.used_counter, s.salt, s.opened_by, s.user_agent, s.ip,
             s.created_at AS opened_at, s.rotated_at, s.ends_at, s.expires_at, ",
            $crate::store::dialect::fragment!($database USER)
        )
    };
    // SQLite returns no columns of a table beside the one that is written.
    (postgres RETURNING_VALID_SESSION) => {
        concat!(" RETURNING ", $crate::store::dialect::fragment!(postgres VALID_SESSION))
    };
    (sqlite RETURNING_VALID_SESSION) => {
        concat!(
            "; SELECT ", $crate::store::dialect::fragment!(sqlite VALID_SESSION),
            " FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.id = $1 AND changes() = 1"
        )
    };
    ($database:ident HAS_ROOM) => {
        "(SELECT count(*) FROM sessions s WHERE s.user_id = $2) < $12"
    };
    ($database:ident TAKEN) => {
        "EXISTS (SELECT 1 FROM users u WHERE u.mobile = $1 AND u.id IS DISTINCT FROM $5
         AND (u.mobile_verified OR u.mobile_suspended_until > $4)) AS mobile_taken,
         EXISTS (SELECT 1 FROM users u WHERE u.email_key = $2 AND u.id IS DISTINCT FROM $5
         AND (u.email_verified OR u.email_suspended_until > $4)) AS email_taken,
         EXISTS (SELECT 1 FROM users u WHERE u.login_id_key = $3 AND u.id IS DISTINCT FROM $5) AS login_id_taken"
    };
    // One row at least: that of the way's record, or none's.
    ($database:ident PENDING_STATE) => {
        concat!(
            "SELECT d.history, d.lifted_at, d.version, ", $crate::store::dialect::fragment!($database TAKEN), ", ",
            $crate::store::dialect::fragment!($database REGISTRATION), ", v.generation FROM (SELECT 1 AS one) single
            LEFT JOIN destinations d ON d.hash = $6 LEFT JOIN registrations r ON "
        )
    };
    ($database:ident AUDIT) => {
        "at, kind, outcome, detail, user_id, destination_hash, destination, verification_id, client, user_agent,
         provider, reference, took_ms, times FROM audit"
    };
    ($database:ident CHALLENGE) => {
        "v.id, v.generation, v.purpose, v.destination, v.digits, v.tries, v.state, v.phantom, v.changed_at,
         v.issued_at, v.expires_at, v.user_id, v.epoch, v.login_id_hash, v.sign_up, d.history, d.lifted_at,
         d.version,
         CASE WHEN v.user_id IS NULL
         THEN v.sign_up IS NOT NULL OR EXISTS (SELECT 1 FROM registrations r WHERE r.verification_id = v.id AND r.expires_at > $2)
         ELSE EXISTS (SELECT 1 FROM users u WHERE u.id = v.user_id AND u.epoch = v.epoch AND u.disabled_at IS NULL)
         END AS is_current
         FROM verifications v LEFT JOIN destinations d ON d.hash = v.record_key"
    };
}
pub(super) use fragment;

/// Names the statements of a file, and lists them as `STATEMENTS`.
macro_rules! statements {
    ($($name:ident = $($part:tt),+;)+) => {
        $(const $name: $crate::store::Sql = $crate::store::Sql {
            postgres: concat!($($crate::store::dialect::fragment!(postgres $part)),+),
            sqlite: concat!($($crate::store::dialect::fragment!(sqlite $part)),+),
        };)+
        pub(super) const STATEMENTS: &[(&str, $crate::store::Sql)] =
            &[$((concat!(module_path!(), "::", stringify!($name)), $name)),+];
    };
}
pub(super) use statements;
