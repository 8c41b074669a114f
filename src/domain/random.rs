//! The source of random bytes and ids.

use rand::{TryRng, rngs::SysRng};
use uuid::{Builder, Uuid};

use super::Timestamp;

/// The source of the bytes of codes, ids and salts.
pub trait Random: Send + Sync {
    /// Fills the buffer with random bytes.
    fn fill(&self, bytes: &mut [u8]);
}

/// The generator of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsRandom;

impl Random for OsRandom {
    fn fill(&self, bytes: &mut [u8]) {
        // Without randomness no code or token may be made, and no caller could do better.
        SysRng.try_fill_bytes(bytes).expect("the operating system gives random bytes");
    }
}

impl dyn Random + '_ {
    /// An array of random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    /// A version 4 id (RFC 9562, 5.4): it cannot be guessed.
    pub fn secret_id(&self) -> Uuid {
        Builder::from_random_bytes(self.bytes()).into_uuid()
    }

    /// A version 7 id (RFC 9562, 5.7): it grows with time, which keeps indexes dense.
    pub fn id(&self, now: Timestamp) -> Uuid {
        Builder::from_unix_timestamp_millis(u64::try_from(now.millis()).unwrap_or(0), &self.bytes()).into_uuid()
    }

    /// A number, uniform in `0..bound`: draws that would favour the low numbers are rejected.
    pub fn below(&self, bound: u64) -> u64 {
        let fair = u64::MAX - u64::MAX % bound;
        loop {
            let drawn = u64::from_le_bytes(self.bytes());
            if drawn < fair {
                return drawn % bound;
            }
        }
    }
}
