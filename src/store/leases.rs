//! Leases: rights that one node at a time has.

use uuid::Uuid;

use super::{StoreError, Writer, connection::execute, dialect::statements};
use crate::domain::Timestamp;

statements! {
    TAKE = "INSERT INTO leases (name, holder, ends_at) VALUES ($1, $2, $4)
        ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, ends_at = excluded.ends_at
        WHERE leases.holder = excluded.holder OR leases.ends_at <= $3";
}

impl Writer {
    /// Takes or renews a lease; `false` while another node has it.
    pub async fn take_lease(
        &mut self,
        name: &str,
        holder: Uuid,
        now: Timestamp,
        ends_at: Timestamp,
    ) -> Result<bool, StoreError> {
        Ok(execute!(self, TAKE, [name, holder, now, ends_at])? == 1)
    }
}
