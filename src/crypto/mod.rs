//! Keys, and all that is made with them. The primitives are AWS-LC's and Argon2's, none is ours.

mod hasher;
mod keys;
mod seal;
mod token_keys;
mod tokens;

pub use hasher::{HashError, Hasher, HashingCost, Recipe};
pub use keys::{Keyring, MacUse, RootKey, hex, sha256};
pub use token_keys::{TokenKeyError, TokenKeys};
pub use tokens::{AccessClaims, TokenSettings, Tokens};
