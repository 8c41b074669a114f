//! Limits in memory.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;

use super::{Denial, LimitKey, Limiter};
use crate::domain::{Dependency, Timestamp, Unavailable};

/// The counters of a single node.
pub struct MemoryLimits {
    logs: Mutex<Logs>,
    bound: usize,
}

#[derive(Default)]
struct Logs {
    by_name: HashMap<String, Log>,
    swept_at: i64,
}

#[derive(Default)]
struct Log {
    /// Milliseconds and the use's id, ascending.
    uses: Vec<(i64, String)>,
    ends_at: i64,
}

impl MemoryLimits {
    /// At most `bound` names; beyond that new ones are refused, because forgetting one would unlimit it.
    pub fn new(bound: usize) -> Self {
        Self { logs: Mutex::default(), bound }
    }
}

#[async_trait]
impl Limiter for MemoryLimits {
    async fn reserve(&self, key: &LimitKey, now: Timestamp) -> Result<Option<Denial>, Unavailable> {
        let now = now.millis();
        let longest = i64::try_from(key.limit.longest().as_millis()).unwrap_or(i64::MAX);
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        if logs.by_name.len() >= self.bound && !logs.by_name.contains_key(&key.name) {
            // At most once a second: under a flood, visiting all of them would be the flood's gain.
            if now - logs.swept_at >= 1_000 {
                logs.swept_at = now;
                logs.by_name.retain(|_, log| log.ends_at > now);
            }
            if logs.by_name.len() >= self.bound {
                let cause = anyhow::anyhow!("{} counters are in use", self.bound);
                return Err(Unavailable::new(Dependency::Memory, cause));
            }
        }
        let log = logs.by_name.entry(key.name.clone()).or_default();
        log.uses.retain(|(at, _)| *at > now - longest && *at > key.since.millis());
        let times: Vec<i64> = log.uses.iter().map(|(at, _)| *at).collect();
        if let Some((quota, allowed_at)) = key.limit.next_allowed(&times, now) {
            return Ok(Some(Denial { quota, allowed_at: Timestamp::from_millis(allowed_at) }));
        }
        log.uses.push((now, key.use_id.clone()));
        log.uses.sort_unstable();
        log.ends_at = log.ends_at.max(now + longest);
        Ok(None)
    }

    async fn cancel(&self, key: &LimitKey) -> Result<(), Unavailable> {
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(log) = logs.by_name.get_mut(&key.name) {
            log.uses.retain(|(_, id)| *id != key.use_id);
            if log.uses.is_empty() {
                logs.by_name.remove(&key.name);
            }
        }
        Ok(())
    }

    async fn reset(&self, name: &str) -> Result<(), Unavailable> {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner).by_name.remove(name);
        Ok(())
    }
}
