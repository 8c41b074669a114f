//! Rate limits as exact sliding logs.

use std::time::Duration;

/// A rate limit: several quotas that all hold at once; none means unlimited.
///
/// ```
/// use enroll::domain::RateLimit;
///
/// let limit = RateLimit::parse("2/10")?; // two in any ten seconds
/// let now = 100_000;
/// assert_eq!(limit.next_allowed(&[now - 4_000], now), None);
/// let (quota, allowed_at) = limit.next_allowed(&[now - 4_000, now - 1_000], now).expect("used up");
/// assert_eq!((quota.count, allowed_at), (2, now + 6_000));
/// # Ok::<(), enroll::domain::RateLimitError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RateLimit(Vec<Quota>);

/// At most `count` in any span of `millis`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// How many are allowed.
    pub count: u32,
    /// The length of the span, in milliseconds.
    pub millis: i64,
}

/// The longest span of a quota, and so how long uses have to be remembered.
pub const DAY: Duration = Duration::from_hours(24);
/// [`DAY`] in milliseconds.
pub const DAY_MS: i64 = 86_400_000;

/// The text is not a rate limit.
#[derive(Debug, thiserror::Error)]
#[error("must be a list of COUNT/SECONDS with counts of 1 to 10000 and seconds of 1 to 86400, for example 5/3600")]
pub struct RateLimitError;

const HOUR: Duration = Duration::from_hours(1);

impl Quota {
    /// At most `count` in any span of this length.
    pub fn new(count: u32, span: Duration) -> Self {
        Self { count, millis: i64::try_from(span.as_millis()).unwrap_or(i64::MAX) }
    }

    /// The length of the span.
    pub fn span(self) -> Duration {
        Duration::from_millis(self.millis.unsigned_abs())
    }
}

impl RateLimit {
    /// Parses `5/3600,10/86400`: counts and seconds.
    pub fn parse(text: &str) -> Result<Self, RateLimitError> {
        let quotas = text.split(',').map(|part| {
            let (count, seconds) = part.trim().split_once('/').ok_or(RateLimitError)?;
            let count: u32 = count.parse().map_err(|_| RateLimitError)?;
            let seconds: u64 = seconds.parse().map_err(|_| RateLimitError)?;
            let in_range = (1..=10_000).contains(&count) && (1..=DAY.as_secs()).contains(&seconds);
            in_range.then(|| Quota::new(count, Duration::from_secs(seconds))).ok_or(RateLimitError)
        });
        quotas.collect::<Result<_, _>>().map(Self)
    }

    /// This quota alone.
    pub fn of(quota: Quota) -> Self {
        Self(vec![quota])
    }

    /// No limit.
    pub fn unlimited() -> Self {
        Self::default()
    }

    /// Whether nothing is limited.
    pub fn is_unlimited(&self) -> bool {
        self.0.is_empty()
    }

    /// The quotas.
    pub fn iter(&self) -> impl Iterator<Item = Quota> + '_ {
        self.0.iter().copied()
    }

    /// The same spans, with so many times the counts.
    #[must_use]
    pub fn times(&self, factor: u32) -> Self {
        Self(self.iter().map(|quota| Quota { count: quota.count.saturating_mul(factor), ..quota }).collect())
    }

    /// The same spans, of which the shortest alone refuses: within the longer ones uses are counted all the same.
    #[must_use]
    pub fn shortest_alone(&self) -> Self {
        let shortest = self.shortest();
        let eased = |quota: Quota| Quota { count: u32::MAX, ..quota };
        Self(self.iter().map(|quota| if Some(quota) == shortest { quota } else { eased(quota) }).collect())
    }

    /// For callers that are known: two more in spans of up to an hour, four more in longer ones.
    #[must_use]
    pub fn for_known(&self) -> Self {
        let more = |quota: Quota| if quota.span() <= HOUR { 2 } else { 4 };
        Self(self.iter().map(|quota| Quota { count: quota.count.saturating_add(more(quota)), ..quota }).collect())
    }

    /// The quota of the shortest span.
    pub fn shortest(&self) -> Option<Quota> {
        self.iter().min_by_key(|quota| quota.millis)
    }

    /// The longest span: older uses do not count.
    pub fn longest(&self) -> Duration {
        self.iter().map(Quota::span).max().unwrap_or_default()
    }

    /// The quota that keeps the next use out longest, and when that use is allowed; `None` if it is allowed
    /// now. Times are in milliseconds and ascending; a use counts while it is younger than the span.
    pub fn next_allowed(&self, times: &[i64], now: i64) -> Option<(Quota, i64)> {
        let exhausted = self.iter().filter_map(|quota| {
            let nth_newest = times.len().checked_sub(quota.count as usize)?;
            let allowed_at = times[nth_newest] + quota.millis;
            (allowed_at > now).then_some((quota, allowed_at))
        });
        // The first of several that end at once, as reserve.lua has it.
        exhausted.reduce(|longest, other| if other.1 > longest.1 { other } else { longest })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_list_of_quotas_is_parsed() {
        let limit = RateLimit::parse("5/3600, 10/86400").unwrap();
        assert_eq!(limit.iter().count(), 2);
        for wrong in ["", "5", "0/60", "5/0", "5/86401", "a/b", "5/60,", "-1/60"] {
            assert!(RateLimit::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    proptest! {
        /// The promise of a sliding log: no span of that length holds more than its quota.
        #[test]
        fn no_span_ever_holds_more(steps in prop::collection::vec(0_i64..40_000, 1..200)) {
            let limit = RateLimit::parse("3/10,5/60").unwrap();
            let (mut now, mut passed) = (0, Vec::new());
            for step in steps {
                now += step;
                match limit.next_allowed(&passed, now) {
                    None => passed.push(now),
                    Some((_, allowed_at)) => {
                        prop_assert!(limit.next_allowed(&passed, allowed_at - 1).is_some());
                        prop_assert!(limit.next_allowed(&passed, allowed_at).is_none());
                    }
                }
            }
            for (count, span) in [(3, 10_000), (5, 60_000)] {
                prop_assert!(passed.windows(count + 1).all(|run| run[count] - run[0] >= span));
            }
        }
    }
}
