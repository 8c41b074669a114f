//! Keys, and everything that is made with them. The primitives are those of AWS-LC and the argon2 crate.

mod hash_queue;
mod hasher;
mod keys;
mod seal;
mod token_keys;
mod tokens;
mod webhook_signer;

pub use hasher::{HashError, HashParams, Hasher, HashingCost};
pub use keys::{Keyring, MacPurpose, RootKey};
pub use token_keys::{TokenKeyError, TokenKeys};
pub use tokens::{AccessClaims, TokenSettings, Tokens};
pub use webhook_signer::{WebhookSecret, WebhookSigner};
