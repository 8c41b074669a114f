use std::time::Duration;

/// At most so many in so long, all windows at once; none: no limit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Windows(Vec<Window>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    pub count: u32,
    pub millis: i64,
}

/// The longest window of a limit: so long is everything kept that one may count.
pub const DAY: Duration = Duration::from_hours(24);
pub const DAY_MILLIS: i64 = 86_400_000;

#[derive(Debug, thiserror::Error)]
#[error("is not a list of COUNT/SECONDS, each at least 1 and the seconds at most 86400")]
pub struct WindowsError;

impl Windows {
    /// From `5/3600,10/86400`.
    pub fn parse(text: &str) -> Result<Self, WindowsError> {
        let windows = text.split(',').map(|part| {
            let (count, seconds) = part.trim().split_once('/').ok_or(WindowsError)?;
            let count: u32 = count.parse().map_err(|_| WindowsError)?;
            let seconds: u64 = seconds.parse().map_err(|_| WindowsError)?;
            let possible = (1..=10_000).contains(&count) && (1..=DAY.as_secs()).contains(&seconds);
            let millis = i64::try_from(seconds * 1_000).map_err(|_| WindowsError)?;
            possible.then_some(Window { count, millis }).ok_or(WindowsError)
        });
        windows.collect::<Result<_, _>>().map(Self)
    }

    pub fn unlimited() -> Self {
        Self::default()
    }

    pub fn is_unlimited(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = Window> + '_ {
        self.0.iter().copied()
    }

    pub fn longest(&self) -> Duration {
        let millis = self.iter().map(|window| window.millis).max().unwrap_or(0);
        Duration::from_millis(millis.unsigned_abs())
    }

    /// The window that keeps the next one out longest, and when it lets it in; times in
    /// milliseconds, ascending. An entry counts while it is younger than the window.
    pub fn closed(&self, times: &[i64], now: i64) -> Option<(Window, i64)> {
        let closed = self.iter().filter_map(|window| {
            let nth_newest = times.len().checked_sub(window.count as usize)?;
            let opens = times[nth_newest] + window.millis;
            (opens > now).then_some((window, opens))
        });
        closed.max_by_key(|(_, opens)| *opens)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_list_of_windows_is_read() {
        let windows = Windows::parse("5/3600, 10/86400").unwrap();
        assert_eq!(windows.iter().count(), 2);
        for wrong in ["", "5", "0/60", "5/0", "5/86401", "a/b", "5/60,", "-1/60"] {
            assert!(Windows::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    proptest! {
        /// What DESIGN.md promises of a sliding log: in no span of that length do more pass.
        #[test]
        fn no_span_ever_holds_more(steps in prop::collection::vec(0_i64..40_000, 1..200)) {
            let windows = Windows::parse("3/10,5/60").unwrap();
            let (mut now, mut passed) = (0, Vec::new());
            for step in steps {
                now += step;
                match windows.closed(&passed, now) {
                    None => passed.push(now),
                    Some((_, opens)) => {
                        prop_assert!(windows.closed(&passed, opens - 1).is_some());
                        prop_assert!(windows.closed(&passed, opens).is_none());
                    }
                }
            }
            for (count, span) in [(3, 10_000), (5, 60_000)] {
                prop_assert!(passed.windows(count + 1).all(|run| run[count] - run[0] >= span));
            }
        }
    }
}
