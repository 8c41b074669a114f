use std::fmt;

use aws_lc_rs::{digest, hkdf, hmac};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use crate::domain::OneTimeCode;

/// 32 random octets, from which every other key is derived (HKDF-SHA256, RFC 5869).
#[derive(Clone)]
pub struct RootKey(Zeroizing<[u8; 32]>);

/// The key that makes, and those that are still accepted.
#[derive(Debug, Clone)]
pub struct Keyring {
    current: RootKey,
    previous: Vec<RootKey>,
}

impl RootKey {
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// From base64; `None` unless it is 32 octets that don't all look alike.
    pub fn from_base64(text: &str) -> Option<Self> {
        let bytes: [u8; 32] = STANDARD.decode(text.trim()).ok()?.try_into().ok()?;
        let mut distinct = bytes.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        (distinct.len() >= 8).then(|| Self::from_bytes(bytes))
    }

    pub fn to_base64(&self) -> String {
        STANDARD.encode(*self.0)
    }

    /// A key for one use alone.
    pub fn derive(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        let mut key = Zeroizing::new([0; 32]);
        hkdf::Salt::new(hkdf::HKDF_SHA256, b"enroll")
            .extract(&*self.0)
            .expand(&[purpose.as_bytes()], hkdf::HKDF_SHA256)
            .and_then(|expanded| expanded.fill(&mut *key))
            .expect("HKDF gives as many octets as its hash has");
        key
    }

    /// Eight hexadecimal digits that name the key and tell nothing of it.
    pub fn id(&self) -> String {
        hex(&self.derive("key id")[..4])
    }

    pub fn mac(&self, purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &*self.derive(purpose));
        let mut context = hmac::Context::with_key(&key);
        for part in parts {
            // The length first: no two lists of parts are the same octets.
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        context.sign().as_ref().try_into().expect("HMAC-SHA256 is 32 octets")
    }
}

impl Keyring {
    pub fn new(current: RootKey, previous: Vec<RootKey>) -> Self {
        Self { current, previous }
    }

    pub fn current(&self) -> &RootKey {
        &self.current
    }

    /// Every key that is accepted, the current one first.
    pub fn accepted(&self) -> impl Iterator<Item = &RootKey> {
        std::iter::once(&self.current).chain(&self.previous)
    }

    /// The code's MACs under every accepted key, each with its key's id; the first is the one to keep.
    pub fn code_macs(&self, purpose: &str, destination: &str, code: &OneTimeCode) -> Vec<String> {
        let parts = [purpose.as_bytes(), destination.as_bytes(), code.expose().as_bytes()];
        self.accepted().map(|key| format!("{}:{}", key.id(), hex(&key.mac("code", &parts)))).collect()
    }
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RootKey({})", self.id())
    }
}

pub fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, bytes).as_ref().to_vec()
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        use fmt::Write as _;
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hkdf_and_hmac_know_their_purpose_and_parts() {
        let key = RootKey::from_bytes([7; 32]);
        assert_ne!(*key.derive("a"), *key.derive("b"));
        assert_ne!(key.mac("a", &[b"x", b"yz"]), key.mac("a", &[b"xy", b"z"]));
        assert_eq!(key.id().len(), 8);
    }

    #[test]
    fn a_weak_root_key_is_refused() {
        assert!(RootKey::from_base64(&STANDARD.encode([0; 32])).is_none());
        assert!(RootKey::from_base64(&STANDARD.encode([1; 16])).is_none());
        assert!(RootKey::from_base64("not base64!").is_none());
        let good: [u8; 32] = std::array::from_fn(|i| u8::try_from(i).unwrap());
        assert!(RootKey::from_base64(&STANDARD.encode(good)).is_some());
    }
}
