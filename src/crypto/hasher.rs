//! Password hashing, with a bounded queue.

use argon2::{
    Algorithm, Params, Version,
    password_hash::phc::{Output, ParamsString, PasswordHash, Salt},
};
use tokio::time::Instant;

use super::{ForeignHash, argon2id, hash_memory::HashMemory, hash_queue::HashQueue};
use crate::{
    domain::{Client, Password, site_of},
    metrics,
};

/// The cost of Argon2id (RFC 9106; OWASP Password Storage: at least 19 MiB, 2, 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashingCost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub iterations: u32,
    /// Lanes.
    pub parallelism: u32,
}

/// The salt and the cost of a hash: equal passwords then have equal hashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashParams {
    salt: Vec<u8>,
    cost: HashingCost,
}

/// Hashes passwords, as many at once as there are cores; the others wait in a bounded queue.
#[derive(Clone)]
pub struct Hasher {
    cost: HashingCost,
    queue: HashQueue,
    memory: HashMemory,
}

/// A password was not hashed.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// The queue is full, or the wait was too long.
    #[error("too many passwords wait to be hashed")]
    Overloaded,
    /// The hash function failed.
    #[error("the password could not be hashed: {0}")]
    Failed(String),
}

impl HashParams {
    /// The salt and cost of a stored hash; `None` if it is none that a hasher makes, or dearer than a login may be.
    pub fn of(phc: &str) -> Option<Self> {
        let hash = PasswordHash::new(phc).ok()?;
        let is_as_ours = hash.version == Some(Version::V0x13.into())
            && hash.hash.is_some_and(|hash| hash.len() == argon2id::HASH_LENGTH);
        (is_as_ours && hash.to_string() == phc).then_some(())?;
        let params = Params::try_from(&hash).ok()?;
        let cost =
            HashingCost { memory_kib: params.m_cost(), iterations: params.t_cost(), parallelism: params.p_cost() };
        let is_affordable = cost.memory_kib <= 1 << 20 && cost.iterations <= 64 && cost.parallelism <= 16;
        (hash.algorithm.as_str() == "argon2id" && is_affordable).then_some(())?;
        Some(Self { salt: hash.salt?.as_ref().to_vec(), cost })
    }
}

impl Hasher {
    /// A hasher of this cost, for so many hashes at once.
    pub fn new(cost: HashingCost, at_once: usize) -> Self {
        Self { cost, queue: HashQueue::new(at_once), memory: HashMemory::new(cost.memory_kib) }
    }

    /// Passwords that wait or are being hashed.
    pub fn queued(&self) -> usize {
        self.queue.queued()
    }

    /// The configured cost with this salt.
    pub fn params(&self, salt: &[u8]) -> HashParams {
        HashParams { salt: salt.to_vec(), cost: self.cost }
    }

    /// Whether a stored hash is to be replaced: another system made it, or it is cheaper than one would be now.
    pub fn is_outdated(&self, stored: &str) -> bool {
        HashParams::of(stored).is_none_or(|stored| self.is_cheaper(&stored))
    }

    fn is_cheaper(&self, stored: &HashParams) -> bool {
        stored.cost.memory_kib < self.cost.memory_kib || stored.cost.iterations < self.cost.iterations
    }

    /// The PHC string of the password, in the turn of the client's network.
    ///
    /// # Errors
    ///
    /// [`HashError::Overloaded`] if the queue is full, of that network or in all, or the hash has not begun after two
    /// seconds.
    pub async fn hash(&self, password: &Password, params: HashParams, client: &Client) -> Result<String, HashError> {
        let (password, memory) = (password.clone(), self.memory.clone());
        self.in_turn(client, move || phc(&password, &params, &memory)).await?
    }

    /// Whether the password is the stored one. A hash with the `otherwise` parameters is made where nothing is stored,
    /// and beside each hash of another system: however cheap that is, a wrong password takes no less time than any.
    ///
    /// # Errors
    ///
    /// As [`hash`](Self::hash).
    pub async fn verify(
        &self,
        password: &Password,
        stored: Option<&str>,
        otherwise: HashParams,
        client: &Client,
    ) -> Result<bool, HashError> {
        if let Some((stored, params)) = stored.and_then(|stored| Some((stored, HashParams::of(stored)?))) {
            return Ok(self.hash(password, params, client).await? == stored);
        }
        let foreign = stored.and_then(|stored| ForeignHash::parse(stored).ok());
        let (password, memory) = (password.clone(), self.memory.clone());
        let verify = move || {
            phc(&password, &otherwise, &memory)?;
            Ok(foreign.is_some_and(|foreign| foreign.is_of(&password)))
        };
        self.in_turn(client, verify).await?
    }

    /// Runs slow work in the turn of the client's network.
    async fn in_turn<T: Send + 'static>(
        &self,
        client: &Client,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, HashError> {
        let place = self.queue.enter(site_of(client.ip)).ok_or(HashError::Overloaded)?;
        let waiting = Instant::now();
        let turn = place.turn().await.ok_or(HashError::Overloaded)?;
        metrics::hash_begins(waiting.elapsed());
        let hashing = tokio::task::spawn_blocking(move || {
            let _turn = turn; // held by the hash itself: it runs on when its request is gone
            work()
        });
        hashing.await.map_err(|panicked| HashError::Failed(panicked.to_string()))
    }
}

fn phc(password: &Password, params: &HashParams, memory: &HashMemory) -> Result<String, HashError> {
    let HashParams { salt, cost } = params;
    let hash = argon2id::hash(password.expose().as_bytes(), salt, *cost, memory)?;
    let failed = |error: &dyn std::fmt::Display| HashError::Failed(error.to_string());
    let phc = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(&cost.params()?).map_err(|error| failed(&error))?,
        salt: Some(Salt::new(salt).map_err(|error| failed(&error))?),
        hash: Some(Output::new(&hash).map_err(|error| failed(&error))?),
    };
    Ok(phc.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> Client {
        Client { ip: [192, 0, 2, 1].into(), user_agent: None, shown: String::new() }
    }

    const CHEAP: HashingCost = HashingCost { memory_kib: 64, iterations: 1, parallelism: 1 };

    #[tokio::test]
    async fn a_stored_hash_has_the_params_to_repeat_it() {
        let hasher = Hasher::new(CHEAP, 2);
        let password = Password::for_comparison("correct horse").unwrap();
        let first = hasher.hash(&password, hasher.params(&[3; 16]), &client()).await.unwrap();
        assert!(first.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{first}");

        let dearer = Hasher::new(HashingCost { iterations: 2, ..CHEAP }, 2);
        assert_eq!(dearer.hash(&password, HashParams::of(&first).unwrap(), &client()).await.unwrap(), first);
        assert_ne!(dearer.hash(&password, dearer.params(&[3; 16]), &client()).await.unwrap(), first);
    }

    #[test]
    fn foreign_and_unaffordable_hashes_have_no_params() {
        for phc in ["", "$2b$10$x", "$argon2id$v=19$m=99999999,t=2,p=1$c29tZXNhbHQ$aGFzaGhhc2hoYXNoaGFzaA"] {
            assert_eq!(HashParams::of(phc), None, "{phc}");
        }
    }
}
