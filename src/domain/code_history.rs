use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    Purpose, Timestamp, Windows,
    quota::{DAY, Window},
};

/// What happened at one destination in the last 24 hours, by purpose (one that this version does not
/// know is kept as it is); outlives accounts, codes and Redis.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct History(BTreeMap<String, PurposeHistory>);

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct PurposeHistory {
    /// Milliseconds, ascending.
    sends: Vec<i64>,
    guesses: Vec<Guess>,
}

/// Marks that a code was sent.
#[derive(Debug, Clone, Copy)]
pub struct Send {
    pub purpose: Purpose,
    pub at: Timestamp,
}

/// A wrong guess, written `ms`, or `ms:id:issue` when it was the one guess more that a code takes
/// after the budget is spent; no two at one destination and purpose have the same millisecond.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Guess(String);

/// The wrong guesses of one destination and purpose, as SQL knows them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GuessHistory {
    pub guesses: Vec<Guess>,
    /// Older ones don't count: the operator lifted them.
    pub since: Timestamp,
}

impl Guess {
    pub fn new(at: i64, extra_of: Option<(Uuid, i64)>) -> Self {
        Self(match extra_of {
            None => at.to_string(),
            Some((id, issue)) => format!("{at}:{id}:{issue}"),
        })
    }

    /// From what a code store answered.
    pub fn from_text(text: String) -> Self {
        Self(text)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// In milliseconds.
    pub fn at(&self) -> i64 {
        let digits = self.0.split(':').next().unwrap_or_default();
        digits.parse().unwrap_or(0)
    }

    pub fn is_extra_of(&self, id: Uuid, issue: i64) -> bool {
        self.0.split_once(':').is_some_and(|(_, code)| code == format!("{id}:{issue}"))
    }
}

impl History {
    /// When the next code for `purpose` may be sent, if not now, and the window that says so.
    pub fn next_send(
        &self,
        purpose: Purpose,
        resend_after: Duration,
        windows: &Windows,
        now: Timestamp,
    ) -> Option<(Option<Window>, Timestamp)> {
        let mut sends: Vec<i64> = self.0.values().flat_map(|of| of.sends.iter().copied()).collect();
        sends.sort_unstable();
        let limited = windows.closed(&sends, now.millis());
        let limited = limited.map(|(window, opens)| (Some(window), Timestamp::from_millis(opens)));
        let last = self.last_send(purpose).filter(|_| resend_after > Duration::ZERO);
        let cooled = last.map(|last| (None, last.plus(resend_after)));
        [limited, cooled].into_iter().flatten().filter(|(_, opens)| *opens > now).max_by_key(|(_, opens)| *opens)
    }

    pub fn last_send(&self, purpose: Purpose) -> Option<Timestamp> {
        self.0.get(purpose.as_str()).and_then(|of| of.sends.last()).copied().map(Timestamp::from_millis)
    }

    pub fn record_send(&mut self, send: Send) {
        let sends = &mut self.0.entry(send.purpose.as_str().to_owned()).or_default().sends;
        sends.push(send.at.millis());
        sends.sort_unstable();
        self.forget(send.at);
    }

    pub fn record_guess(&mut self, purpose: Purpose, guess: Guess, now: Timestamp) {
        let guesses = &mut self.0.entry(purpose.as_str().to_owned()).or_default().guesses;
        if !guesses.contains(&guess) {
            guesses.push(guess);
        }
        self.forget(now);
    }

    pub fn guesses(&self, purpose: Purpose) -> Vec<Guess> {
        self.0.get(purpose.as_str()).map(|of| of.guesses.clone()).unwrap_or_default()
    }

    fn forget(&mut self, now: Timestamp) {
        let oldest = now.minus(DAY).millis();
        for of in self.0.values_mut() {
            of.sends.retain(|at| *at > oldest);
            of.guesses.retain(|guess| guess.at() > oldest);
        }
        self.0.retain(|_, of| !of.sends.is_empty() || !of.guesses.is_empty());
    }
}
