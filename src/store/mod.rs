//! SQL: one text for `PostgreSQL` and `SQLite`, one method a step.
//!
//! A [`Connection`] runs single statements; a [`Tx`] is a connection with a transaction open, and
//! undoes everything unless committed. Locks are taken in one order everywhere: destinations,
//! users, registrations, verifications, outbox.

mod connection;
mod database;
mod destinations;
mod error;
mod events;
mod node_lock;
mod outbox;
mod pool;
mod prune;
mod registrations;
mod sessions;
mod timestamp;
mod user_changes;
mod users;
mod verifications;

pub use connection::{Connection, Tx};
pub use database::{Store, StoreSettings};
pub use destinations::Destination;
pub use error::{StoreError, Taken};
pub use events::WaitingEvent;
pub use node_lock::SingleNode;
pub use outbox::{ClaimedMessage, KeptMessage, NewMessage};
pub use registrations::Activation;

pub use verifications::{Carried, Challenge, Conversion};
