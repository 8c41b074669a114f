//! SQL: one text for PostgreSQL and SQLite, one method for each step.
//!
//! A [`Reader`] runs statements that only read, a [`Writer`] single statements that write as well, and a [`Tx`]
//! several statements in a transaction, which is undone unless it is committed. Locks are taken in one order
//! everywhere: destinations, users, registrations, verifications, outbox, events, audit.

mod audit;
mod batch;
mod connection;
mod database;
mod delivery_stats;
mod destinations;
mod dialect;
mod error;
mod events;
mod identifiers;
mod invitations;
mod known_networks;
mod leases;
mod node_lock;
mod outbox;
mod pending_state;
mod pool;
mod pooler;
mod prefix_counts;
mod prune;
mod registrations;
mod root_keys;
mod rows;
mod sessions;
mod timestamp;
mod user_changes;
mod users;
mod verifications;

pub use connection::{Reader, Tx, Writer};
pub use database::{PLANNING, Store, StoreSettings};
pub use delivery_stats::Conversion;
pub use dialect::Sql;
pub use error::StoreError;
pub use events::{SealedEvent, StoredEvent, WaitingEvent};
pub use node_lock::NodeLock;
pub use outbox::{LeasedMessage, QueuedMessage, StoredMessage, Tried};
pub use pending_state::PendingState;
pub use registrations::Activation;
pub use sessions::{SessionUser, ValidSession};
pub use users::LoginState;
pub use verifications::{AskedChange, DeliveredBy};

/// Every statement with its name, for the test that prepares them on both databases.
pub fn statements() -> impl Iterator<Item = (&'static str, Sql)> {
    [
        audit::STATEMENTS,
        connection::STATEMENTS,
        delivery_stats::STATEMENTS,
        destinations::STATEMENTS,
        events::STATEMENTS,
        invitations::STATEMENTS,
        known_networks::STATEMENTS,
        leases::STATEMENTS,
        outbox::STATEMENTS,
        pending_state::STATEMENTS,
        prefix_counts::STATEMENTS,
        prune::STATEMENTS,
        registrations::STATEMENTS,
        root_keys::STATEMENTS,
        sessions::STATEMENTS,
        user_changes::STATEMENTS,
        users::STATEMENTS,
        verifications::STATEMENTS,
    ]
    .into_iter()
    .flatten()
    .copied()
}
