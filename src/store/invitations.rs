//! The addresses that may register whatever the rules say.

use super::{
    Reader, StoreError, Tx,
    connection::{execute, fetch},
    dialect::statements,
};
use crate::domain::{DestinationHash, Timestamp};

statements! {
    SELECT = "SELECT EXISTS (SELECT 1 FROM invitations WHERE hash = $1 AND ends_at > $2)";
    INVITE = "INSERT INTO invitations (hash, ends_at) VALUES ($1, $2)
        ON CONFLICT (hash) DO UPDATE SET ends_at = excluded.ends_at";
}

impl Reader {
    /// Whether the address is invited.
    pub async fn is_invited(&mut self, address: &DestinationHash, now: Timestamp) -> Result<bool, StoreError> {
        fetch!(fetch_one, self, SELECT, [address.as_bytes(), now]).map(|(is_invited,)| is_invited)
    }
}

impl Tx {
    /// Invites an address, till then.
    pub async fn invite(&mut self, address: &DestinationHash, ends_at: Timestamp) -> Result<(), StoreError> {
        execute!(self, INVITE, [address.as_bytes(), ends_at]).map(drop)
    }
}
