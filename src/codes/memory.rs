use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;
use uuid::Uuid;

use super::{Attempt, Claim, CodeKey, CodeStore, Judged, LiveCode, MARK_MILLIS};
use crate::domain::{DAY_MILLIS, Guess, Part, Purpose, Timestamp, Unavailable};

/// The codes of a single node; a restart ends them.
pub struct MemoryCodes {
    places: Mutex<Places>,
    bound: usize,
}

#[derive(Default)]
struct Places {
    of: HashMap<(String, Purpose), Place>,
    swept_at: i64,
}

/// All that lives for one destination and purpose.
#[derive(Default)]
struct Place {
    codes: BTreeMap<Uuid, Code>,
    guesses: Vec<Guess>,
}

struct Code {
    issue: i64,
    mac: String,
    with_id: u32,
    without_id: u32,
    expires: i64,
    mark: String,
    marked_until: i64,
}

impl MemoryCodes {
    /// At most `bound` destinations; past it issuing is refused, and nothing live is evicted.
    pub fn new(bound: usize) -> Self {
        Self { places: Mutex::default(), bound }
    }

    fn with_place<T>(&self, key: &CodeKey, act: impl FnOnce(Option<&mut Place>) -> T) -> T {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        act(places.of.get_mut(&(key.destination.clone(), key.purpose)))
    }
}

impl Places {
    /// Forgets what is over; at most once a second, for it looks at everything.
    fn sweep(&mut self, now: i64) {
        if now - self.swept_at < 1_000 {
            return;
        }
        self.swept_at = now;
        for place in self.of.values_mut() {
            place.codes.retain(|_, code| code.expires > now);
            place.guesses.retain(|guess| guess.at() > now - DAY_MILLIS);
        }
        self.of.retain(|_, place| !place.codes.is_empty() || !place.guesses.is_empty());
    }
}

#[async_trait]
impl CodeStore for MemoryCodes {
    async fn put(&self, code: &LiveCode, now: Timestamp) -> Result<bool, Unavailable> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let name = (code.key.destination.clone(), code.key.purpose);
        if places.of.len() >= self.bound && !places.of.contains_key(&name) {
            places.sweep(now.millis());
            if places.of.len() >= self.bound {
                return Err(Unavailable::new(Part::Memory, anyhow::anyhow!("{} codes live", self.bound)));
            }
        }
        Ok(places.of.entry(name).or_default().put(code, now.millis()))
    }

    async fn judge(&self, attempt: &Attempt, now: Timestamp) -> Result<Judged, Unavailable> {
        Ok(self
            .with_place(&attempt.key, |place| place.map_or(Judged::NoCode, |place| place.judge(attempt, now.millis()))))
    }

    async fn release(&self, claim: &Claim) -> Result<(), Unavailable> {
        self.with_place(&claim.key, |place| {
            let code = place.and_then(|place| place.codes.get_mut(&claim.key.verification));
            if let Some(code) = code.filter(|code| code.mark == claim.mark) {
                code.mark.clear();
            }
        });
        Ok(())
    }

    async fn tries_left(&self, key: &CodeKey, issue: i64, now: Timestamp) -> Result<u32, Unavailable> {
        Ok(self.with_place(key, |place| {
            let code = place.and_then(|place| place.codes.get(&key.verification));
            code.filter(|code| code.lives(issue, now.millis())).map_or(0, |code| code.with_id)
        }))
    }
}

impl Place {
    fn put(&mut self, new: &LiveCode, now: i64) -> bool {
        self.codes.retain(|id, code| code.expires > now || *id == new.key.verification);
        let there = self.codes.get(&new.key.verification);
        if there.is_none_or(|there| there.issue < new.issue) {
            let code = Code {
                issue: new.issue,
                mac: new.mac.clone(),
                with_id: new.tries,
                without_id: new.tries,
                expires: new.expires_at.millis(),
                mark: String::new(),
                marked_until: 0,
            };
            self.codes.insert(new.key.verification, code);
        }
        let code = &self.codes[&new.key.verification];
        code.lives(new.issue, now) && code.with_id + code.without_id > 0
    }

    /// The same steps, in the same order, as `judge.lua`.
    fn judge(&mut self, attempt: &Attempt, now: i64) -> Judged {
        let id = attempt.key.verification;
        let Some(code) = self.codes.get_mut(&id).filter(|code| code.lives(attempt.issue, now)) else {
            return Judged::NoCode;
        };
        for guess in &attempt.known.guesses {
            if !self.guesses.contains(guess) {
                self.guesses.push(guess.clone());
            }
        }
        self.guesses.retain(|guess| guess.at() > now - DAY_MILLIS && guess.at() > attempt.known.since.millis());
        let mut times: Vec<i64> = self.guesses.iter().map(Guess::at).collect();
        times.sort_unstable();

        let tries = if attempt.with_id { &mut code.with_id } else { &mut code.without_id };
        if *tries == 0 {
            return Judged::NoTries;
        }
        let closed = attempt.budget.closed(&times, now);
        if let Some((window, opens)) = closed {
            let extra_gone = self.guesses.iter().any(|guess| guess.is_extra_of(id, code.issue));
            if !attempt.with_id || extra_gone {
                return Judged::NoBudget(window, Timestamp::from_millis(opens));
            }
        }
        if attempt.macs.contains(&code.mac) {
            if !code.mark.is_empty() && code.marked_until > now {
                return Judged::Busy;
            }
            code.mark.clone_from(&attempt.mark);
            code.marked_until = now + MARK_MILLIS;
            return Judged::Right;
        }
        *tries -= 1;
        let mut at = now;
        while times.contains(&at) {
            at += 1;
        }
        let guess = Guess::new(at, closed.map(|_| (id, code.issue)));
        self.guesses.push(guess.clone());
        Judged::Wrong(guess)
    }
}

impl Code {
    fn lives(&self, issue: i64, now: i64) -> bool {
        self.issue == issue && self.expires > now
    }
}
