//! Codes in memory.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;
use uuid::Uuid;

use super::{Attempt, CLAIM_MS, Claim, CodeKey, CodeStore, LiveCode, Verdict};
use crate::domain::{DAY_MS, Dependency, DestinationHash, FailedAttempt, Purpose, Timestamp, Unavailable};

/// The codes of a single node; they end with the process.
pub struct MemoryCodes {
    destinations: Mutex<Destinations>,
    bound: usize,
}

#[derive(Default)]
struct Destinations {
    by_name: HashMap<(DestinationHash, Purpose), Destination>,
    swept_at: i64,
}

/// The codes and failed attempts of one destination and purpose.
#[derive(Default)]
struct Destination {
    codes: BTreeMap<Uuid, Code>,
    attempts: Vec<FailedAttempt>,
}

struct Code {
    generation: i64,
    mac: String,
    phantom: bool,
    with_id: u32,
    without_id: u32,
    expires: i64,
    claim_id: String,
    claimed_until: i64,
}

impl MemoryCodes {
    /// At most `bound` destinations; beyond that codes are refused, and nothing live is evicted but what is nobody's.
    pub fn new(bound: usize) -> Self {
        Self { destinations: Mutex::default(), bound }
    }

    fn with_destination<T>(&self, key: &CodeKey, act: impl FnOnce(Option<&mut Destination>) -> T) -> T {
        let mut destinations = self.destinations.lock().unwrap_or_else(PoisonError::into_inner);
        act(destinations.by_name.get_mut(&(key.destination.clone(), key.purpose)))
    }
}

impl Destinations {
    /// Drops what has ended; at most once a second, because it visits everything.
    fn sweep(&mut self, now: i64) {
        if now - self.swept_at < 1_000 {
            return;
        }
        self.swept_at = now;
        for destination in self.by_name.values_mut() {
            destination.codes.retain(|_, code| code.expires > now);
            destination.attempts.retain(|attempt| attempt.at() > now - DAY_MS);
        }
        self.by_name.retain(|_, destination| !destination.codes.is_empty() || !destination.attempts.is_empty());
    }

    /// For a new destination. What nobody waits for goes: codes of nobody, and attempts, which SQL has too.
    fn make_room(&mut self, bound: usize, now: i64) {
        self.sweep(now);
        if self.by_name.len() >= bound {
            self.by_name.retain(|_, destination| destination.codes.values().any(|code| !code.phantom));
        }
    }
}

#[async_trait]
impl CodeStore for MemoryCodes {
    async fn put(&self, code: &LiveCode, now: Timestamp) -> Result<bool, Unavailable> {
        let mut destinations = self.destinations.lock().unwrap_or_else(PoisonError::into_inner);
        let name = (code.key.destination.clone(), code.key.purpose);
        if destinations.by_name.len() >= self.bound && !destinations.by_name.contains_key(&name) {
            destinations.make_room(self.bound, now.millis());
            if destinations.by_name.len() >= self.bound {
                let cause = anyhow::anyhow!("{} destinations have live codes", self.bound);
                return Err(Unavailable::new(Dependency::Memory, cause));
            }
        }
        Ok(destinations.by_name.entry(name).or_default().put(code, now.millis()))
    }

    async fn judge(&self, attempt: &Attempt, now: Timestamp) -> Result<Verdict, Unavailable> {
        let judge = |destination: &mut Destination| destination.judge(attempt, now.millis());
        Ok(self.with_destination(&attempt.key, |destination| destination.map_or(Verdict::NoCode, judge)))
    }

    async fn release(&self, claim: &Claim) -> Result<(), Unavailable> {
        self.with_destination(&claim.key, |destination| {
            let code = destination.and_then(|destination| destination.codes.get_mut(&claim.key.verification));
            if let Some(code) = code.filter(|code| code.claim_id == claim.id) {
                code.claim_id.clear();
            }
        });
        Ok(())
    }

    async fn tries_left(&self, key: &CodeKey, generation: i64, now: Timestamp) -> Result<u32, Unavailable> {
        Ok(self.with_destination(key, |destination| {
            let code = destination.and_then(|destination| destination.codes.get(&key.verification));
            code.filter(|code| code.is_live(generation, now.millis())).map_or(0, |code| code.with_id)
        }))
    }
}

impl Destination {
    fn put(&mut self, new: &LiveCode, now: i64) -> bool {
        self.codes.retain(|id, code| code.expires > now || *id == new.key.verification);
        let stored = self.codes.get(&new.key.verification);
        if stored.is_none_or(|stored| stored.generation < new.generation) {
            let code = Code {
                generation: new.generation,
                mac: new.mac.clone(),
                phantom: new.phantom,
                with_id: new.tries,
                without_id: new.tries,
                expires: new.expires_at.millis(),
                claim_id: String::new(),
                claimed_until: 0,
            };
            self.codes.insert(new.key.verification, code);
        }
        let code = &self.codes[&new.key.verification];
        code.is_live(new.generation, now) && (code.with_id > 0 || code.without_id > 0)
    }

    /// The same steps, in the same order, as `judge.lua`.
    fn judge(&mut self, attempt: &Attempt, now: i64) -> Verdict {
        let id = attempt.key.verification;
        let Some(code) = self.codes.get_mut(&id).filter(|code| code.is_live(attempt.generation, now)) else {
            return Verdict::NoCode;
        };
        let mut attempts = self.attempts.clone();
        for known in &attempt.known.attempts {
            if !attempts.contains(known) {
                attempts.push(known.clone());
            }
        }
        let since = attempt.known.since.millis();
        attempts.retain(|attempt| attempt.at() > now - DAY_MS && attempt.at() > since);
        let mut times: Vec<i64> = attempts.iter().map(FailedAttempt::at).collect();
        times.sort_unstable();

        let tries = if attempt.with_id { &mut code.with_id } else { &mut code.without_id };
        if *tries == 0 {
            return Verdict::NoTries;
        }
        let exhausted = attempt.budget.next_allowed(&times, now);
        if let Some((quota, allowed_at)) = exhausted {
            let extra_is_spent = attempts.iter().any(|attempt| attempt.is_extra_of(id, code.generation));
            if !attempt.with_id || !attempt.allows_extra || extra_is_spent {
                return Verdict::NoBudget(quota, Timestamp::from_millis(allowed_at));
            }
        }
        if attempt.macs.contains(&code.mac) {
            if !code.claim_id.is_empty() && code.claimed_until > now {
                return Verdict::Claimed;
            }
            code.claim_id.clone_from(&attempt.claim_id);
            code.claimed_until = now + CLAIM_MS;
            return Verdict::Right;
        }
        *tries -= 1;
        let mut at = now;
        while times.contains(&at) {
            at += 1;
        }
        let failed = FailedAttempt::new(at, exhausted.map(|_| (id, code.generation)));
        attempts.push(failed.clone());
        self.attempts = attempts;
        Verdict::Wrong(failed)
    }
}

impl Code {
    fn is_live(&self, generation: i64, now: i64) -> bool {
        self.generation == generation && self.expires > now
    }
}
