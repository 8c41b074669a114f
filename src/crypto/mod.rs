//! Keys, and everything that is made with them. The primitives are those of AWS-LC and of `RustCrypto`.

mod argon2id;
mod foreign_hash;
mod hash_memory;
mod hash_queue;
mod hasher;
mod huge_pages;
mod keys;
mod seal;
mod token_keys;
mod tokens;
mod webhook_signer;

pub use foreign_hash::{ForeignHash, ForeignHashError};
pub use hasher::{HashError, HashParams, Hasher, HashingCost};
pub use huge_pages::{argon2_blocks, refuse_unasked_huge_pages};
pub use keys::{Keyring, MacPurpose, RootKey};
pub use token_keys::{TokenKeyError, TokenKeys};
pub use tokens::{AccessClaims, TokenSettings, Tokens};
pub use webhook_signer::{WebhookSecret, WebhookSigner};
