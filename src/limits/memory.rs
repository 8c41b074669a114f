//! Limits in memory.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;

use super::{CLOSED_FOR, Denial, LimitKey, Limiter, crowd};
use crate::domain::{DAY, Quota, RateLimit, Timestamp, Unavailable};

/// The counters of a single node.
///
/// At its bound it does not close: the most crowded group of names (`crowd`) becomes one name, whose uses are
/// those of all. So whoever fills it is refused first, and nobody's uses are forgotten.
pub struct MemoryLimits {
    logs: Mutex<Logs>,
    rows: Mutex<HashMap<String, Row>>,
    bound: usize,
}

/// Failures in a row.
struct Row {
    count: u32,
    last: Timestamp,
}

impl Row {
    fn is_over(&self, most: u32, now: Timestamp) -> bool {
        let pause = if self.count >= most { CLOSED_FOR } else { DAY };
        self.last.plus(pause) <= now
    }
}

#[derive(Default)]
struct Logs {
    by_name: HashMap<String, Log>,
    /// The groups that are one name.
    crowds: HashSet<String>,
}

#[derive(Default)]
struct Log {
    /// Milliseconds and the use's id, ascending.
    uses: Vec<(i64, String)>,
    ends_at: i64,
}

impl MemoryLimits {
    /// About `bound` names.
    pub fn new(bound: usize) -> Self {
        Self { logs: Mutex::default(), rows: Mutex::default(), bound }
    }

    /// The groups that are counted as one client, for they filled the memory.
    pub fn crowds(&self) -> usize {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner).crowds.len()
    }
}

#[async_trait]
impl Limiter for MemoryLimits {
    async fn reserve(&self, key: &LimitKey, now: Timestamp) -> Result<Option<Denial>, Unavailable> {
        let now = now.millis();
        let longest = i64::try_from(key.limit.longest().as_millis()).unwrap_or(i64::MAX);
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        if logs.by_name.len() + key.names.len() > self.bound {
            logs.make_room(self.bound, now);
        }
        let names = logs.counted(&key.names);
        let since = (now - longest).max(key.since.millis());
        let exhausted = names.iter().filter_map(|(name, times)| {
            let log = logs.by_name.get_mut(name)?;
            log.uses.retain(|(at, _)| *at > since);
            log.next_allowed(&key.limit.times(*times), now)
        });
        let exhausted = exhausted.reduce(|longest, other| if other.1 > longest.1 { other } else { longest });
        if let Some((quota, allowed_at)) = exhausted {
            return Ok(Some(Denial { quota, allowed_at: Timestamp::from_millis(allowed_at) }));
        }
        for (name, _) in names {
            let log = logs.by_name.entry(name).or_default();
            log.uses.push((now, key.use_id.clone()));
            log.uses.sort_unstable();
            log.ends_at = log.ends_at.max(now + longest);
        }
        Ok(None)
    }

    async fn cancel(&self, key: &LimitKey) -> Result<(), Unavailable> {
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, _) in logs.counted(&key.names) {
            if let Some(log) = logs.by_name.get_mut(&name) {
                log.uses.retain(|(_, id)| *id != key.use_id);
                if log.uses.is_empty() {
                    logs.by_name.remove(&name);
                }
            }
        }
        Ok(())
    }

    async fn in_a_row(&self, name: &str, most: u32, adds: bool, now: Timestamp) -> Result<u32, Unavailable> {
        let now = Timestamp::from_millis(now.millis());
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let count = rows.get(name).filter(|row| !row.is_over(most, now)).map_or(0, |row| row.count);
        if !adds {
            return Ok(count);
        }
        if rows.len() >= self.bound && !rows.contains_key(name) {
            rows.retain(|_, row| !row.is_over(most, now));
            if rows.len() >= self.bound {
                // The shortest say least; each other limit still holds for them.
                let shortest = rows.values().map(|row| row.count).min().unwrap_or_default();
                rows.retain(|_, row| row.count > shortest);
            }
        }
        let count = count.saturating_add(1);
        rows.insert(name.to_owned(), Row { count, last: now });
        Ok(count)
    }

    async fn reset(&self, name: &str) -> Result<(), Unavailable> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        self.logs.lock().unwrap_or_else(PoisonError::into_inner).by_name.remove(name);
        Ok(())
    }
}

impl Log {
    fn next_allowed(&self, limit: &RateLimit, now: i64) -> Option<(Quota, i64)> {
        let times: Vec<i64> = self.uses.iter().map(|(at, _)| *at).collect();
        limit.next_allowed(&times, now)
    }
}

impl Logs {
    /// The names that uses count under: a name in a crowd is the crowd's, once, and the limit holds just once there.
    fn counted(&self, names: &[(String, u32)]) -> Vec<(String, u32)> {
        let crowd_of = |name: &String| crowd::groups(name).into_iter().rev().find(|group| self.crowds.contains(group));
        match names.iter().find_map(|(name, _)| crowd_of(name)) {
            Some(crowd) => vec![(crowd, 1)],
            None => names.to_vec(),
        }
    }

    fn make_room(&mut self, bound: usize, now: i64) {
        self.by_name.retain(|_, log| log.ends_at > now);
        self.crowds.retain(|crowd| self.by_name.contains_key(crowd));
        while self.by_name.len() > bound / 2 {
            let Some(crowd) = crowd::largest(self.by_name.keys(), bound / 64) else { return };
            let (members, others) = std::mem::take(&mut self.by_name)
                .into_iter()
                .partition(|(name, _)| crowd::groups(name).contains(&crowd));
            let members: HashMap<String, Log> = members;
            self.by_name = others;
            tracing::warn!(
                crowd,
                names = members.len(),
                "counters in memory are full: a crowd is counted as one client"
            );
            let mut log = Log::default();
            for member in members.into_values() {
                log.ends_at = log.ends_at.max(member.ends_at);
                log.uses.extend(member.uses);
            }
            log.uses.sort_unstable();
            log.uses.dedup_by(|one, other| one.1 == other.1); // counted under several names
            self.by_name.insert(crowd.clone(), log);
            self.crowds.insert(crowd);
        }
    }
}
