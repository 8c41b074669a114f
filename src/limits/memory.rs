use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;

use super::{Counter, Limiter, Taken};
use crate::domain::{Part, Timestamp, Unavailable};

/// The counters of a single node.
pub struct MemoryLimits {
    logs: Mutex<Logs>,
    bound: usize,
}

#[derive(Default)]
struct Logs {
    of: HashMap<String, Log>,
    swept_at: i64,
}

#[derive(Default)]
struct Log {
    /// Milliseconds and the use's own name, ascending.
    entries: Vec<(i64, String)>,
    over_at: i64,
}

impl MemoryLimits {
    /// At most `bound` counters; past it new ones are refused, for forgetting one would free it.
    pub fn new(bound: usize) -> Self {
        Self { logs: Mutex::default(), bound }
    }
}

#[async_trait]
impl Limiter for MemoryLimits {
    async fn take(&self, counter: &Counter, now: Timestamp) -> Result<Taken, Unavailable> {
        let now = now.millis();
        let longest = i64::try_from(counter.windows.longest().as_millis()).unwrap_or(i64::MAX);
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        if logs.of.len() >= self.bound && !logs.of.contains_key(&counter.name) {
            // At most once a second: under a flood, looking at all of them is the flood's gain.
            if now - logs.swept_at >= 1_000 {
                logs.swept_at = now;
                logs.of.retain(|_, log| log.over_at > now);
            }
            if logs.of.len() >= self.bound {
                return Err(Unavailable::new(Part::Memory, anyhow::anyhow!("{} counters are in use", self.bound)));
            }
        }
        let log = logs.of.entry(counter.name.clone()).or_default();
        log.entries.retain(|(at, _)| *at > now - longest && *at > counter.since.millis());
        let times: Vec<i64> = log.entries.iter().map(|(at, _)| *at).collect();
        if let Some((window, opens)) = counter.windows.closed(&times, now) {
            return Ok(Taken::Refused {
                count: window.count,
                window_s: u32::try_from(window.millis / 1_000).unwrap_or(u32::MAX),
                opens: Timestamp::from_millis(opens),
            });
        }
        log.entries.push((now, counter.entry.clone()));
        log.entries.sort_unstable();
        log.over_at = log.over_at.max(now + longest);
        Ok(Taken::Passed)
    }

    async fn give_back(&self, counter: &Counter) -> Result<(), Unavailable> {
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(log) = logs.of.get_mut(&counter.name) {
            log.entries.retain(|(_, name)| *name != counter.entry);
            if log.entries.is_empty() {
                logs.of.remove(&counter.name);
            }
        }
        Ok(())
    }

    async fn clear(&self, name: &str) -> Result<(), Unavailable> {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner).of.remove(name);
        Ok(())
    }
}
