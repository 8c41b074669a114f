//! The networks that an account's sessions were opened from.

use uuid::Uuid;

use super::{
    Reader, StoreError, Tx,
    connection::{fetch, write_once},
    dialect::statements,
};
use crate::domain::{DAY, Timestamp};

/// An account keeps so many, those seen last.
const KEPT: i64 = 16;

statements! {
    KNOWS = "SELECT EXISTS (SELECT 1 FROM known_networks WHERE user_id = $1 AND network = $2 AND seen_at > $3)";
    SEE = "INSERT INTO known_networks (user_id, network, seen_at)
        SELECT id, $2, $3 FROM users WHERE id = $1 AND NOT EXISTS
        (SELECT 1 FROM known_networks WHERE user_id = $1 AND network = $2 AND seen_at > $4)
        ON CONFLICT (user_id, network) DO UPDATE SET seen_at = excluded.seen_at";
    // Materialized: else everybody's may be read in the order of time, until enough are the account's.
    FORGET_OLDEST = "DELETE FROM known_networks WHERE user_id = $1 AND network <> $2 AND network NOT IN
        (WITH others AS MATERIALIZED (SELECT network, seen_at FROM known_networks WHERE user_id = $1 AND network <> $2)
        SELECT network FROM others ORDER BY seen_at DESC LIMIT $3)";
}

impl Reader {
    /// Whether a session of the account was opened from the network, named by its hash, since then.
    pub async fn knows_network(&mut self, user: Uuid, network: &[u8], since: Timestamp) -> Result<bool, StoreError> {
        fetch!(fetch_one, self, KNOWS, [user, network, since]).map(|(knows,)| knows)
    }
}

impl Tx {
    /// Remembers the network of an account's session, once a day; one for each account in a transaction.
    pub fn see_network(&mut self, user: Uuid, network: &[u8], now: Timestamp) -> Result<(), StoreError> {
        write_once!(self, Nothing, SEE, [user, network, now, now.minus(DAY)])?;
        write_once!(self, Nothing, FORGET_OLDEST, [user, network, KEPT - 1])
    }
}
