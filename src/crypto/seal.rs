//! Sealing: encryption of what lies in the database.

use aws_lc_rs::aead::{Aad, NONCE_LEN, Nonce};
use zeroize::Zeroizing;

use super::Keyring;
use crate::domain::Random;

/// The octets of the key's id at the start of a sealed body.
const ID_LEN: usize = 8;

impl Keyring {
    /// Encrypts and authenticates: key id, random nonce, AES-256-GCM (NIST SP 800-38D; its bound of
    /// 2^32 random nonces a key is far beyond the messages of a service's life).
    ///
    /// `owner` is what the body belongs to (its row): it opens for no other.
    pub fn seal(&self, owner: &str, plain: &[u8], random: &dyn Random) -> Vec<u8> {
        let nonce: [u8; NONCE_LEN] = random.bytes();
        let mut sealed = plain.to_vec();
        self.current()
            .seal()
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(owner), &mut sealed)
            .expect("a message is shorter than 64 GiB");
        [self.current().id().as_bytes(), &nonce, &sealed].concat()
    }

    /// Decrypts; `None` for a body that no accepted key has sealed for this owner.
    pub fn open(&self, owner: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (id, rest) = sealed.split_at_checked(ID_LEN)?;
        let (nonce, body) = rest.split_at_checked(NONCE_LEN)?;
        let key = self.accepted().find(|key| key.id().as_bytes() == id)?;
        let mut body = Zeroizing::new(body.to_vec());
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let length = key.seal().open_in_place(nonce, Aad::from(owner), &mut body).ok()?.len();
        body.truncate(length);
        Some(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{crypto::RootKey, domain::OsRandom};

    #[test]
    fn what_one_key_sealed_opens_while_the_key_is_accepted() {
        let [a, b] = [1, 2].map(|byte| RootKey::from_bytes([byte; 32]));
        let sealed = Keyring::new(a.clone(), vec![]).seal("a row", b"secret", &OsRandom);

        let rotated = Keyring::new(b.clone(), vec![a]);
        assert_eq!(rotated.open("a row", &sealed).unwrap().as_slice(), b"secret");
        assert!(Keyring::new(b, vec![]).open("a row", &sealed).is_none());

        assert!(rotated.open("another row", &sealed).is_none());

        let mut forged = sealed.clone();
        *forged.last_mut().unwrap() ^= 1;
        assert!(rotated.open("a row", &forged).is_none());
        assert!((0..sealed.len()).all(|end| rotated.open("a row", &sealed[..end]).is_none()));
    }
}
