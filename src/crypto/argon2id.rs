//! Argon2id (RFC 9106), by the crate `argon2`; with the feature `argon2-reference` by the C code of its authors.

use argon2::{Algorithm, Argon2, Params, Version};

use super::{HashError, HashingCost, hash_memory::HashMemory};

/// Octets of a hash, and so of its Base64 in the PHC string.
pub(super) const HASH_LENGTH: usize = 32;

/// Hashes a password.
pub(super) fn hash(
    password: &[u8],
    salt: &[u8],
    cost: HashingCost,
    memory: &HashMemory,
) -> Result<[u8; HASH_LENGTH], HashError> {
    // More lanes would be threads of its own there, which nobody counts.
    #[cfg(feature = "argon2-reference")]
    if cost.parallelism == 1 {
        return by_reference(password, salt, cost);
    }
    by_crate(password, salt, cost, memory)
}

fn by_crate(
    password: &[u8],
    salt: &[u8],
    cost: HashingCost,
    memory: &HashMemory,
) -> Result<[u8; HASH_LENGTH], HashError> {
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, cost.params()?);
    let mut hash = [0; HASH_LENGTH];
    let hashed = memory.lend(argon2.params().block_count(), |blocks| {
        argon2.hash_password_into_with_memory(password, salt, &mut hash, blocks)
    });
    hashed.map_err(|error| HashError::Failed(error.to_string()))?;
    Ok(hash)
}

#[cfg(feature = "argon2-reference")]
fn by_reference(password: &[u8], salt: &[u8], cost: HashingCost) -> Result<[u8; HASH_LENGTH], HashError> {
    let length = u32::try_from(HASH_LENGTH).unwrap_or_default();
    let hasher = argon2_kdf::Hasher::new().algorithm(argon2_kdf::Algorithm::Argon2id).hash_length(length);
    let hasher = hasher.iterations(cost.iterations).memory_cost_kib(cost.memory_kib).threads(1).custom_salt(salt);
    let failed = |error: &dyn std::fmt::Display| HashError::Failed(error.to_string());
    let hash = hasher.hash(password).map_err(|error| failed(&error))?;
    hash.as_bytes().try_into().map_err(|error| failed(&error))
}

impl HashingCost {
    pub(super) fn params(self) -> Result<Params, HashError> {
        let params = Params::new(self.memory_kib, self.iterations, self.parallelism, None);
        params.map_err(|error| HashError::Failed(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use argon2::{AssociatedData, ParamsBuilder};
    #[cfg(feature = "argon2-reference")]
    use proptest::prelude::*;

    use super::*;

    /// RFC 9106, 5.3.
    #[test]
    fn the_crate_hashes_as_the_rfc_does() {
        let data = AssociatedData::new(&[4; 12]).unwrap();
        let params = ParamsBuilder::new().m_cost(32).t_cost(3).p_cost(4).data(data).build().unwrap();
        let argon2 = Argon2::new_with_secret(&[3; 8], Algorithm::Argon2id, Version::V0x13, params).unwrap();
        let mut tag = [0; 32];
        argon2.hash_password_into(&[1; 32], &[2; 16], &mut tag).unwrap();
        let expected = "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659";
        assert_eq!(crate::domain::hex(&tag), expected);
    }

    /// Of the tests of the C code, by whichever implementation is built.
    #[test]
    fn a_hash_is_that_of_the_authors() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _in_runtime = runtime.enter();
        let cost = HashingCost { memory_kib: 256, iterations: 2, parallelism: 1 };
        let hash = hash(b"password", b"somesalt", cost, &HashMemory::new(256)).unwrap();
        let expected = "9dfeb910e80bad0311fee20f9c0e2b12c17987b4cac90c2ef54d5b3021c68bfe";
        assert_eq!(crate::domain::hex(&hash), expected);
    }

    #[cfg(feature = "argon2-reference")]
    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn both_hash_alike(
            password in proptest::collection::vec(any::<u8>(), 0..80),
            salt in proptest::collection::vec(any::<u8>(), 8..33),
            (memory_kib, iterations, parallelism) in (32_u32..300, 1_u32..4, 1_u32..4),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let _in_runtime = runtime.enter();
            let (cost, memory) = (HashingCost { memory_kib, iterations, parallelism }, HashMemory::new(64));
            let own = by_crate(&password, &salt, cost, &memory).unwrap();
            prop_assert_eq!(hash(&password, &salt, cost, &memory).unwrap(), own);
        }
    }
}
