//! Counts over the whole service: in memory, and brought together with the other nodes' once a second.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::domain::{
    EventKind, Timestamp,
    guard::{Counters, Delta, GuardSettings, HoldState, SlotCount},
};

/// The counts of a node; cheap to clone.
#[derive(Clone)]
pub struct ServiceCounts(Arc<Inner>);

struct Inner {
    counters: Mutex<Counters>,
    news: Mutex<News>,
}

/// News to be told, and when each was told last.
#[derive(Default)]
struct News {
    told: HashMap<String, Timestamp>,
    waiting: Vec<EventKind>,
}

/// Counts and states that are not in the database yet.
#[derive(Debug)]
pub struct Unsaved {
    /// New counts.
    pub counts: Vec<Delta>,
    /// States that changed.
    pub states: Vec<(String, HoldState)>,
}

/// Between two events about one thing.
const TOLD_AGAIN: Duration = Duration::from_hours(1);

impl ServiceCounts {
    /// Nothing counted yet.
    pub fn new(settings: GuardSettings) -> Self {
        Self(Arc::new(Inner { counters: Mutex::new(Counters::new(settings)), news: Mutex::default() }))
    }

    pub(crate) fn counters(&self) -> MutexGuard<'_, Counters> {
        self.0.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn news(&self) -> MutexGuard<'_, News> {
        self.0.news.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells of something, once an hour; `true` if it is told now.
    pub(crate) fn tell(&self, about: &str, event: EventKind, now: Timestamp) -> bool {
        let mut news = self.news();
        let is_due = news.told.get(about).is_none_or(|last| last.plus(TOLD_AGAIN) <= now);
        if is_due {
            news.told.insert(about.to_owned(), now);
            news.waiting.push(event);
        }
        is_due
    }

    /// How many prefixes are held.
    pub fn held(&self) -> usize {
        self.counters().held().count()
    }

    /// Takes the events that are to be told.
    pub fn take_news(&self) -> Vec<EventKind> {
        std::mem::take(&mut self.news().waiting)
    }

    /// Takes what is not in the database yet.
    pub fn take_unsaved(&self, now: Timestamp) -> Unsaved {
        let mut counters = self.counters();
        counters.ripen(now.millis());
        Unsaved { counts: counters.take_deltas(), states: counters.take_changed() }
    }

    /// Takes back what could not be saved.
    pub fn give_back(&self, unsaved: Unsaved) {
        let mut counters = self.counters();
        counters.give_back(unsaved.counts);
        counters.give_back_changed(unsaved.states);
    }

    /// Takes over what the database has.
    pub fn absorb(&self, counts: &[(String, SlotCount)], states: &[(String, HoldState)]) {
        let mut counters = self.counters();
        for (prefix, count) in counts {
            counters.absorb(prefix, *count);
        }
        for (prefix, state) in states {
            counters.absorb_state(prefix, *state);
        }
    }
}
