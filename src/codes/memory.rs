//! Codes in memory.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use uuid::Uuid;

use super::{Attempt, CLAIM_MS, Claim, CodeKey, CodeStore, LiveCode, Room, Verdict, crowds::Crowds};
use crate::domain::{DAY_MS, Dependency, DestinationHash, FailedAttempt, Purpose, Timestamp, Unavailable};

/// The codes of a single node; they end with the process.
///
/// From half its bound on, networks that hold more than their share need a puzzle for another code, and from three
/// quarters on they get none, and all others need one: so whoever fills it is refused first, and somebody else's code
/// has a place. Codes of nobody may fill half of that.
pub struct MemoryCodes {
    destinations: Mutex<Destinations>,
    bound: usize,
}

#[derive(Default)]
struct Destinations {
    by_name: HashMap<(DestinationHash, Purpose), Destination>,
    crowds: Crowds,
    /// Those with codes of nobody alone.
    phantoms: usize,
    swept_at: i64,
}

/// The codes and failed attempts of one destination and purpose.
#[derive(Default)]
struct Destination {
    codes: BTreeMap<Uuid, Code>,
    attempts: Vec<FailedAttempt>,
    /// The IP address that asked for the first code.
    asked_from: Option<IpAddr>,
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

    fn lock(&self) -> MutexGuard<'_, Destinations> {
        self.destinations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with_destination<T>(&self, key: &CodeKey, act: impl FnOnce(Option<&mut Destination>) -> T) -> T {
        act(self.lock().by_name.get_mut(&(key.destination.clone(), key.purpose)))
    }
}

impl Destinations {
    /// Drops what has ended, and attempts, which SQL has too; at most once a second, because it visits everything.
    fn sweep(&mut self, now: i64) {
        if now - self.swept_at < 1_000 {
            return;
        }
        self.swept_at = now;
        for destination in self.by_name.values_mut() {
            destination.codes.retain(|_, code| code.expires > now);
        }
        self.retain(|destination| !destination.codes.is_empty());
    }

    fn retain(&mut self, is_kept: impl Fn(&Destination) -> bool) {
        self.by_name.retain(|_, destination| {
            let is_kept = is_kept(destination);
            if !is_kept {
                self.crowds.remove(destination.asked_from);
            }
            is_kept
        });
        self.phantoms = self.by_name.values().filter(|destination| destination.is_phantom()).count();
    }

    /// For a new destination. What nobody waits for goes: codes of nobody, and attempts.
    fn make_room(&mut self, bound: usize, now: i64) {
        self.sweep(now);
        if self.by_name.len() >= bound {
            self.retain(|destination| !destination.is_phantom());
        }
    }

    fn put(&mut self, code: &LiveCode, now: i64) -> bool {
        let name = (code.key.destination.clone(), code.key.purpose);
        let crowds = &mut self.crowds;
        let destination = self.by_name.entry(name).or_insert_with(|| {
            crowds.add(code.asked_from);
            Destination { asked_from: code.asked_from, ..Destination::default() }
        });
        let was_phantom = destination.is_phantom() && !destination.codes.is_empty();
        let is_live = destination.put(code, now);
        self.phantoms -= usize::from(was_phantom);
        self.phantoms += usize::from(destination.is_phantom());
        is_live
    }
}

/// The part of a bound that is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Filling {
    /// Less than half.
    Low,
    Half,
    ThreeQuarters,
}

impl Filling {
    fn of(count: usize, bound: usize) -> Self {
        match count {
            _ if count >= bound - bound / 4 => Self::ThreeQuarters,
            _ if count >= bound / 2 => Self::Half,
            _ => Self::Low,
        }
    }
}

#[async_trait]
impl CodeStore for MemoryCodes {
    async fn put(&self, code: &LiveCode, now: Timestamp) -> Result<bool, Unavailable> {
        let mut destinations = self.lock();
        let name = (code.key.destination.clone(), code.key.purpose);
        if destinations.by_name.len() >= self.bound && !destinations.by_name.contains_key(&name) {
            destinations.make_room(self.bound, now.millis());
            if destinations.by_name.len() >= self.bound {
                let cause = anyhow::anyhow!("{} destinations have live codes", self.bound);
                return Err(Unavailable::new(Dependency::Memory, cause));
            }
        }
        Ok(destinations.put(code, now.millis()))
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

    fn room(&self, from: IpAddr, may_be_phantom: bool, now: Timestamp) -> Room {
        let mut destinations = self.lock();
        let filling = |destinations: &Destinations| {
            let phantoms = Filling::of(destinations.phantoms, self.bound / 2);
            (Filling::of(destinations.by_name.len(), self.bound), if may_be_phantom { phantoms } else { Filling::Low })
        };
        if filling(&destinations) > (Filling::Low, Filling::Low) {
            destinations.sweep(now.millis());
        }
        let (codes, phantoms) = filling(&destinations);
        match (codes.max(phantoms), destinations.crowds.is_crowded(from, self.bound)) {
            (Filling::ThreeQuarters, true) if codes == Filling::ThreeQuarters => {
                Room::Spent(u32::try_from(self.bound - self.bound / 4).unwrap_or(u32::MAX))
            }
            (Filling::ThreeQuarters, _) | (Filling::Half, true) => Room::Scarce,
            _ => Room::Ample,
        }
    }
}

impl Destination {
    /// Whether none of its codes is anybody's.
    fn is_phantom(&self) -> bool {
        self.codes.values().all(|code| code.phantom)
    }

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
