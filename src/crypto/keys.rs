//! The root key and the keys derived from it.

use std::{fmt, sync::Arc};

use aws_lc_rs::{
    aead::{AES_256_GCM, LessSafeKey, UnboundKey},
    hkdf, hmac,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::domain::{Address, OneTimeCode, Purpose, hex};

/// 32 random octets, from which every other key is derived (HKDF-SHA256, RFC 5869). Its `Debug` shows its id.
#[derive(Clone)]
pub struct RootKey(Arc<DerivedKeys>);

/// Derived once: a request needs half a dozen of them.
struct DerivedKeys {
    root: Zeroizing<[u8; 32]>,
    /// Eight hexadecimal digits that name the key and reveal nothing of it.
    id: String,
    macs: [hmac::Key; 4],
    access_token: Zeroizing<[u8; 32]>,
    seal: LessSafeKey,
}

/// The purpose of a MAC; one for another purpose never matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MacPurpose {
    /// One-time codes.
    Code,
    /// Refresh tokens.
    RefreshToken,
    /// The salt of the first pending password of a destination.
    PendingSalt,
    /// Puzzles: a secret for each part of one.
    Puzzle,
}

/// The current root key, which signs and seals, and the previous ones, which are still accepted.
///
/// ```
/// use enroll::{crypto::{Keyring, RootKey}, domain::OsRandom};
///
/// let [old, new] = [1, 2].map(|byte| RootKey::from_bytes([byte; 32]));
/// let sealed = Keyring::new(old.clone(), vec![]).seal("a row", b"secret", &OsRandom);
///
/// let rotated = Keyring::new(new.clone(), vec![old]);
/// assert_eq!(rotated.open("a row", &sealed).expect("the old key is accepted").as_slice(), b"secret");
/// assert!(Keyring::new(new, vec![]).open("a row", &sealed).is_none());
/// ```
#[derive(Debug, Clone)]
pub struct Keyring {
    current: RootKey,
    previous: Vec<RootKey>,
}

impl RootKey {
    /// Derives the keys.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        let root = Zeroizing::new(bytes);
        let mac = |name| hmac::Key::new(hmac::HMAC_SHA256, &*derive(&root, name));
        let seal = UnboundKey::new(&AES_256_GCM, &*derive(&root, "seal")).expect("the key has the cipher's length");
        Self(Arc::new(DerivedKeys {
            id: hex(&derive(&root, "key id")[..4]),
            macs: [mac("code"), mac("refresh token"), mac("pending password salt"), mac("puzzle")],
            access_token: derive(&root, "access token"),
            seal: LessSafeKey::new(seal),
            root,
        }))
    }

    /// Decodes base64; `None` unless it is 32 octets that do not all look alike.
    pub fn from_base64(text: &str) -> Option<Self> {
        let bytes: [u8; 32] = STANDARD.decode(text.trim()).ok()?.try_into().ok()?;
        let mut distinct = bytes.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        (distinct.len() >= 8).then(|| Self::from_bytes(bytes))
    }

    /// The key itself, in base64.
    pub fn to_base64(&self) -> String {
        STANDARD.encode(*self.0.root)
    }

    /// The id that stands before everything it made.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    pub(super) fn access_token(&self) -> &[u8] {
        &*self.0.access_token
    }

    pub(super) fn seal(&self) -> &LessSafeKey {
        &self.0.seal
    }

    /// HMAC-SHA256 over the parts, each with its length.
    pub fn mac(&self, purpose: MacPurpose, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.0.macs[purpose as usize]);
        for part in parts {
            // The length first: no two lists of parts are the same octets.
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        context.sign().as_ref().try_into().expect("HMAC-SHA256 is 32 octets")
    }
}

fn derive(root: &[u8; 32], name: &str) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    hkdf::Salt::new(hkdf::HKDF_SHA256, b"enroll")
        .extract(root)
        .expand(&[name.as_bytes()], hkdf::HKDF_SHA256)
        .and_then(|expanded| expanded.fill(&mut *key))
        .expect("HKDF gives as many octets as its hash has");
    key
}

impl Keyring {
    /// A keyring of these keys.
    pub fn new(current: RootKey, previous: Vec<RootKey>) -> Self {
        Self { current, previous }
    }

    /// The key that signs and seals.
    pub fn current(&self) -> &RootKey {
        &self.current
    }

    /// Every key that is accepted, the current one first.
    pub fn accepted(&self) -> impl Iterator<Item = &RootKey> {
        std::iter::once(&self.current).chain(&self.previous)
    }

    /// The MACs of a code under every accepted key, each with its key's id; the first is the one to store. `issue` is
    /// the verification and the generation: a MAC that is copied to another one is right for no code there.
    pub fn code_macs(
        &self,
        purpose: Purpose,
        destination: &Address,
        issue: (Uuid, i64),
        code: &OneTimeCode,
    ) -> Vec<String> {
        let (destination, generation) = (destination.key(), issue.1.to_be_bytes());
        let parts = [
            purpose.as_str().as_bytes(),
            destination.as_bytes(),
            issue.0.as_bytes(),
            &generation,
            code.expose().as_bytes(),
        ];
        self.accepted().map(|key| format!("{}:{}", key.id(), hex(&key.mac(MacPurpose::Code, &parts)))).collect()
    }
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RootKey({})", self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hkdf_and_hmac_know_their_purpose_and_parts() {
        let key = RootKey::from_bytes([7; 32]);
        assert_ne!(*derive(&[7; 32], "a"), *derive(&[7; 32], "b"));
        assert_ne!(key.mac(MacPurpose::Code, &[b"x"]), key.mac(MacPurpose::RefreshToken, &[b"x"]));
        assert_ne!(key.mac(MacPurpose::Code, &[b"x", b"yz"]), key.mac(MacPurpose::Code, &[b"xy", b"z"]));
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
