use rand::{TryRng, rngs::SysRng};
use uuid::{Builder, Uuid};

use super::Timestamp;

/// Where codes, ids and salts take their bytes from.
pub trait Random: Send + Sync {
    fn fill(&self, bytes: &mut [u8]);
}

/// The operating system's generator.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsRandom;

impl Random for OsRandom {
    fn fill(&self, bytes: &mut [u8]) {
        // Without randomness no code or token may be made, and no caller could do better.
        SysRng.try_fill_bytes(bytes).expect("the operating system gives random bytes");
    }
}

impl dyn Random + '_ {
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    /// A version 4 id: nobody can guess it.
    pub fn secret_id(&self) -> Uuid {
        Builder::from_random_bytes(self.bytes()).into_uuid()
    }

    /// A version 7 id: it grows with time, which keeps indexes dense.
    pub fn id(&self, now: Timestamp) -> Uuid {
        Builder::from_unix_timestamp_millis(u64::try_from(now.millis()).unwrap_or(0), &self.bytes()).into_uuid()
    }

    /// Uniform in `0..bound`: draws that would favour the low numbers are thrown away.
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
