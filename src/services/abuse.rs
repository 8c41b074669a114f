//! The pumping guard's holds, for operators.

use crate::{
    domain::{
        AuditLine, DAY_MS, Origin, Timestamp,
        guard::{Counters, Decision, GuardSettings, KEPT_COUNTS, KEPT_MS, SLOT_MS, SlotCount, slot_of},
    },
    engine::Core,
    error::Error,
    store::Reader,
};

/// Shows, lifts and recomputes what the pumping guard holds.
#[derive(Clone)]
pub struct AbuseService {
    pub(crate) core: Core,
    pub(crate) settings: GuardSettings,
}

/// A prefix whose messages need a challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldPrefix {
    /// Digits, the calling code first.
    pub prefix: String,
    /// When it was held.
    pub since: Timestamp,
    /// The challenge's price by the usual one.
    pub factor: u32,
    /// Messages within the window, and of those the verified ones.
    pub sent: u32,
    /// See `sent`.
    pub verified: u32,
}

/// A change that a replay found at the end of some five minutes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// The end of the five minutes; of those that last, now.
    pub at: Timestamp,
    /// Digits.
    pub prefix: String,
    /// Whether it was held from then on, or free.
    pub is_held: bool,
}

impl AbuseService {
    /// The prefixes that are held.
    pub async fn held(&self) -> Result<Vec<HeldPrefix>, Error> {
        let now = self.core.now();
        let counters = self.counters(now).await?;
        let held = counters.held().map(|(prefix, state)| {
            let factor = match counters.peek(prefix, now.millis()) {
                Decision::Held { factor, .. } => factor,
                Decision::Free => 1, // the next message to it frees it
            };
            let since = Timestamp::from_millis(state.held_since.unwrap_or_default());
            let (sent, verified) = counters.within_window(prefix, now.millis());
            HeldPrefix { prefix: prefix.to_owned(), since, factor, sent, verified }
        });
        Ok(held.collect())
    }

    /// Lifts a prefix and each longer one that is held, and returns them: what was counted so far counts against none
    /// of them.
    pub async fn lift(&self, prefix: &str, origin: Origin<'_>) -> Result<Vec<String>, Error> {
        let now = self.core.now();
        let mut counters = self.counters(now).await?;
        counters.lift(prefix, now.millis());
        let changed = counters.take_changed();
        let mut tx = self.core.store.begin().await?;
        for (prefix, state) in &changed {
            tx.set_prefix_state(prefix, *state, now).await?;
        }
        tx.append_audit(&[AuditLine::command(origin.command.unwrap_or_default(), None, origin, now)])?;
        tx.commit().await?;
        Ok(changed.into_iter().map(|(prefix, _)| prefix).collect())
    }

    /// Decides anew by the counts that are kept, under the settings as they are now.
    pub async fn replay(&self) -> Result<Vec<Replayed>, Error> {
        let now = self.core.now();
        let mut reader = self.core.store.read().await?;
        let counts = all_counts(&mut reader, now.millis() - KEPT_MS).await?;
        Ok(replayed(&counts, self.settings, now))
    }

    async fn counters(&self, now: Timestamp) -> Result<Counters, Error> {
        let mut reader = self.core.store.read().await?;
        let mut counters = Counters::new(self.settings);
        for (prefix, count) in all_counts(&mut reader, now.millis() - DAY_MS).await? {
            counters.absorb(&prefix, count);
        }
        for (prefix, state) in reader.changed_prefix_states(Timestamp::default()).await? {
            counters.absorb_state(&prefix, state);
        }
        Ok(counters)
    }
}

fn replayed(counts: &[(String, SlotCount)], settings: GuardSettings, now: Timestamp) -> Vec<Replayed> {
    let mut counters = Counters::new(settings);
    let mut replayed = Vec::new();
    for of_slot in counts.chunk_by(|(_, one), (_, other)| one.slot == other.slot) {
        // Later than now the messages would be older than they are.
        let at = ((of_slot[0].1.slot + 1) * SLOT_MS).min(now.millis());
        for (prefix, count) in of_slot {
            counters.absorb(prefix, *count);
        }
        counters.review(at);
        replayed.extend(counters.take_changed().into_iter().map(|(prefix, state)| {
            let (at, is_held) = (Timestamp::from_millis(at), state.held_since.is_some());
            Replayed { at, prefix, is_held }
        }));
    }
    replayed
}

async fn all_counts(reader: &mut Reader, since_ms: i64) -> Result<Vec<(String, SlotCount)>, Error> {
    let most = i64::try_from(KEPT_COUNTS).unwrap_or(i64::MAX);
    Ok(reader.prefix_counts(slot_of(since_ms), most).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_around_the_end_of_five_minutes_is_held_at_once() {
        let slot = slot_of(1_767_225_600_000);
        let unripe =
            |slot: i64, sent: u32| ("919876500".to_owned(), SlotCount { slot, sent, verified: 0, unripe: sent });
        let now = Timestamp::from_millis((slot + 1) * SLOT_MS + 2_000);
        let replayed = replayed(&[unripe(slot, 15), unripe(slot + 1, 6)], GuardSettings::default(), now);
        assert_eq!(replayed, [Replayed { at: now, prefix: "919876500".to_owned(), is_held: true }]);
    }
}
