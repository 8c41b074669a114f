//! The pumping guard: for which prefixes of numbers a message needs a challenge first, and why.
//!
//! Pure and in memory: [`decide`] knows only counts, a state and the time, so that `replay` and the simulator
//! decide as the service did. Times are in milliseconds since 1970. `docs` of [`decide`] hold the rule.

mod counters;
pub mod simulation;

pub use counters::{Counters, Delta};

use super::DAY_MS;

/// The length of a slot: what is counted is counted by five minutes.
pub const SLOT_MS: i64 = 300_000;
/// A message that was not verified is ripe, and so counts against its prefixes, after this long.
pub const RIPE_MS: i64 = 120_000;
/// How long counts are of use: `replay` looks back so far.
pub const KEPT_MS: i64 = 7 * DAY_MS;
/// How many counts (a prefix and a slot) [`Counters`] keeps; when it is full, only the calling code and the next
/// two digits of a number are counted anew (111 prefixes a calling code, which nobody can multiply).
pub const KEPT_COUNTS: usize = 400_000;
/// How many messages may be unripe on one node; those beyond count as sent alone.
const KEPT_UNRIPE: usize = 100_000;
/// So many held longer prefixes no longer explain what a prefix shows, see [`Counters`]; and so many times the
/// minimum is that of a calling code alone.
const SEVERAL: usize = 10;
/// A hold was a false alarm if so many of its own messages were verified, see [`decide`].
const FALSE_ALARM_SHARE: f64 = 0.6;

/// The settings of the guard and of the ceilings above it (`ENROLL__ABUSE__…`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GuardSettings {
    /// A prefix with a smaller verified share is held.
    pub share: f64,
    /// The share of fewer messages says nothing.
    pub minimum: u32,
    /// The span over which the share is taken.
    pub window_ms: i64,
    /// A prefix is held for so long at most.
    pub hold_ms: i64,
    /// Messages in all, and the span in milliseconds.
    pub ceiling: (u32, i64),
    /// Messages to one country, and the span in milliseconds.
    pub ceiling_per_country: (u32, i64),
}

impl Default for GuardSettings {
    fn default() -> Self {
        Self {
            share: 0.2,
            minimum: 20,
            window_ms: 3_600_000,
            hold_ms: DAY_MS,
            ceiling: (5_000, 3_600_000),
            ceiling_per_country: (1_000, 3_600_000),
        }
    }
}

/// The counts of one prefix in one slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SlotCount {
    /// The slot: its first millisecond by [`SLOT_MS`].
    pub slot: i64,
    /// Messages.
    pub sent: u32,
    /// Of those, the ones whose code was used.
    pub verified: u32,
    /// Of those, the ones neither verified nor [`RIPE_MS`] old, as far as the nodes said.
    pub unripe: u32,
}

impl SlotCount {
    /// The unripe ones at `now`: none long after the slot, so that the leftovers of a node that crashed end by
    /// themselves, and no more than are unverified: a node can't ripen a message that another one sent.
    fn unripe_at(self, now_ms: i64) -> u32 {
        let ended = (self.slot + 1) * SLOT_MS;
        if ended + RIPE_MS < now_ms { 0 } else { self.unripe.min(self.sent.saturating_sub(self.verified)) }
    }

    fn minus(self, other: Self) -> Self {
        Self {
            slot: self.slot,
            sent: self.sent.saturating_sub(other.sent),
            verified: self.verified.saturating_sub(other.verified),
            unripe: self.unripe.saturating_sub(other.unripe),
        }
    }
}

/// The state of a prefix between two decisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HoldState {
    /// When it was held, while it is.
    pub held_since: Option<i64>,
    /// Until when nothing counts against it: an operator's lift, or the end of a hold by its length.
    pub lifted_at: Option<i64>,
    /// The counts of that moment's slot, which do not count either.
    pub excused: SlotCount,
}

impl HoldState {
    /// The state after `decision`; `current` has the counts of the slot of `now_ms`.
    #[must_use]
    pub fn after(self, decision: Decision, current: SlotCount, now_ms: i64, settings: &GuardSettings) -> Self {
        match (decision, self.held_since) {
            (Decision::Held { since, .. }, _) => Self { held_since: Some(since), ..self },
            (Decision::Free, Some(since)) if since + settings.hold_ms <= now_ms => Self::lifted(current, now_ms),
            (Decision::Free, _) => Self { held_since: None, ..self },
        }
    }

    /// The state after a lift; `current` has the counts of the slot of `now_ms`.
    pub fn lifted(current: SlotCount, now_ms: i64) -> Self {
        let excused = SlotCount { slot: slot_of(now_ms), ..current };
        Self { held_since: None, lifted_at: Some(now_ms), excused }
    }

    /// The part of `count` that speaks against the prefix.
    fn counted(self, count: SlotCount) -> SlotCount {
        match self.lifted_at {
            Some(_) if count.slot < self.excused.slot => SlotCount { slot: count.slot, ..SlotCount::default() },
            Some(_) if count.slot == self.excused.slot => count.minus(self.excused),
            _ => count,
        }
    }
}

/// The guard's word on a prefix or a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Decision {
    /// Messages go out.
    Free,
    /// A message needs a solved challenge.
    Held {
        /// The cost of the challenge by its usual one: 1, 2, 4, 8 or 16.
        factor: u32,
        /// When it was held.
        since: i64,
    },
}

/// The ceilings' word on a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ceiling {
    /// It goes out.
    Below,
    /// It needs a solved challenge.
    Challenge,
    /// It does not go out.
    Refuse,
}

/// Judges the messages of a ceiling's span: a count, and milliseconds.
pub fn ceiling(sent: u32, (count, _): (u32, i64)) -> Ceiling {
    match sent {
        _ if sent >= count.saturating_mul(2) => Ceiling::Refuse,
        _ if sent >= count => Ceiling::Challenge,
        _ => Ceiling::Below,
    }
}

/// The slot of a time.
pub fn slot_of(now_ms: i64) -> i64 {
    now_ms.div_euclid(SLOT_MS)
}

/// The length of the calling code that `digits` begins with (ITU-T E.164, list of assigned country codes: no code
/// begins another, and what has neither one digit nor two has three).
pub fn calling_code_len(digits: &str) -> usize {
    const TWO_DIGITS: [u8; 43] = [
        20, 27, 30, 31, 32, 33, 34, 36, 39, 40, 41, 43, 44, 45, 46, 47, 48, 49, 51, 52, 53, 54, 55, 56, 57, 58, 60, 61,
        62, 63, 64, 65, 66, 81, 82, 84, 86, 90, 91, 92, 93, 94, 95,
    ];
    let two = digits.get(..2).and_then(|two| two.parse::<u8>().ok());
    match digits.as_bytes().first() {
        Some(b'1' | b'7') => 1,
        _ if two.is_some_and(|two| two == 98 || TWO_DIGITS.contains(&two)) => 2,
        _ => 3,
    }
}

/// The prefixes of a number in E.164 without its plus sign: the calling code, then each longer one to four digits
/// before the end.
pub fn prefixes(e164_digits: &str, calling_code_len: usize) -> impl DoubleEndedIterator<Item = &str> {
    let longest = e164_digits.len().saturating_sub(4).max(calling_code_len);
    (calling_code_len..=longest).filter_map(move |length| e164_digits.get(..length))
}

/// The sums that a decision is made by.
#[derive(Default)]
struct Sums {
    ripe: u32,
    verified: u32,
    unripe: u32,
    busiest: u32,
    /// Ripe and verified ones of the slots in which the messages were sent for which it was held.
    suspects: (u32, u32),
    /// Messages and verified ones of the window, and of the whole hold where it is longer.
    priced: (u32, u32),
}

impl Sums {
    fn of(counts: &[SlotCount], state: HoldState, now_ms: i64, settings: &GuardSettings) -> Self {
        let mut sums = Self::default();
        let suspect = state.held_since.map(|since| slot_of(since - RIPE_MS)..=slot_of(since));
        let window = now_ms - settings.window_ms;
        for count in counts.iter().filter(|count| count.slot <= slot_of(now_ms)) {
            let starts = count.slot * SLOT_MS;
            if starts > now_ms - DAY_MS {
                sums.busiest = sums.busiest.max(count.sent.min(count.verified.saturating_mul(2)));
            }
            let counted = state.counted(*count);
            let unripe = counted.unripe_at(now_ms);
            let ripe = counted.sent.saturating_sub(unripe);
            let verified = counted.verified.min(ripe);
            sums.unripe += unripe;
            // The slot that lasts always counts, or a window shorter than a slot would see nothing.
            let recent = starts >= window || count.slot == slot_of(now_ms);
            if recent {
                sums.ripe += ripe;
                sums.verified += verified;
            }
            if recent || suspect.as_ref().is_some_and(|slots| *slots.start() <= count.slot) {
                sums.priced = (sums.priced.0 + ripe + unripe, sums.priced.1 + verified);
            }
            if suspect.as_ref().is_some_and(|slots| slots.contains(&count.slot)) {
                sums.suspects = (sums.suspects.0 + ripe, sums.suspects.1 + verified);
            }
        }
        sums
    }

    /// Whether, of few messages yet, too few are verified already.
    fn doubtful(&self, settings: &GuardSettings) -> bool {
        let sent = self.ripe + self.unripe;
        let few = sent - self.verified >= few(settings);
        few && f64::from(self.verified) < settings.share * f64::from(sent)
    }

    /// Whether the prefix is to be held, were it free.
    fn suspicious(&self, minimum: u32, settings: &GuardSettings) -> bool {
        let too_few = self.ripe >= minimum && f64::from(self.verified) < settings.share * f64::from(self.ripe);
        let too_fast = self.unripe > minimum && self.unripe > self.busiest.saturating_mul(2);
        too_few || too_fast
    }

    /// Whether the prefix, held since then and no longer suspicious, is free again.
    fn recovered(&self, since: i64, now_ms: i64, settings: &GuardSettings) -> bool {
        let all_while_held = now_ms - since >= settings.window_ms;
        let enough = settings.share * f64::from(self.ripe.max(settings.minimum));
        let suspects_ripe = now_ms > (slot_of(since) + 1) * SLOT_MS + RIPE_MS;
        let (suspects, verified) = self.suspects;
        let false_alarm = suspects >= settings.minimum && share_of(verified, suspects) >= FALSE_ALARM_SHARE;
        (all_while_held && f64::from(self.verified) >= enough) || (suspects_ripe && false_alarm)
    }

    /// Doubles with each further minimum of unverified ones, in the window and since it was held; one that was
    /// verified makes up for one that was not, or the honest people of a whole country would soon pay sixteen times
    /// for a few attackers among them.
    fn factor(&self, minimum: u32) -> u32 {
        let (sent, verified) = self.priced;
        let further = (sent.saturating_sub(verified.saturating_mul(2)) / minimum.max(1)).saturating_sub(1);
        1 << further.min(4)
    }
}

/// So many unverified messages in a slot make a prefix one to look at.
fn few(settings: &GuardSettings) -> u32 {
    (settings.minimum / 4).max(1)
}

fn share_of(part: u32, whole: u32) -> f64 {
    f64::from(part) / f64::from(whole.max(1))
}

/// Decides about one prefix by its counts of the last day, ascending by slot.
///
/// **Held** when of at least `minimum` ripe messages of the window less than `share` was verified, or when more are
/// unripe than `minimum` and than twice its busiest five minutes of the last day. Five minutes are as busy as their
/// messages, but no more than twice the verified ones: what an attacker sent yesterday must not raise his bar today.
/// A calling code alone needs ten times the minimum for either: there a few bad ranges are not yet the country.
///
/// **Free again** by the share, in two ways, neither of them while it would be held anew:
/// * a whole window has passed, so that all that counts was sent while it was held, and of those (or of the minimum,
///   if they are fewer) at least `share` was verified. Not earlier: an attack among honest people would fall silent
///   for a minute, their share lift the hold, and the next burst go out.
/// * the messages that it was held for are ripe, and three fifths of the ones of their slots were verified: a crowd,
///   not an attack.
///
/// Or after `hold`; the state after that ([`HoldState::after`]) lets nothing count that came before.
pub fn decide(
    counts: &[SlotCount],
    is_calling_code: bool,
    state: HoldState,
    now_ms: i64,
    settings: &GuardSettings,
) -> Decision {
    if state.held_since.is_some_and(|since| since + settings.hold_ms <= now_ms) {
        return Decision::Free;
    }
    let tenfold = if is_calling_code { u32::try_from(SEVERAL).unwrap_or(u32::MAX) } else { 1 };
    let minimum = settings.minimum.saturating_mul(tenfold);
    let sums = Sums::of(counts, state, now_ms, settings);
    let suspicious = sums.suspicious(minimum, settings);
    match state.held_since {
        Some(since) if suspicious || !sums.recovered(since, now_ms, settings) => {
            Decision::Held { factor: sums.factor(minimum), since }
        }
        None if suspicious => Decision::Held { factor: sums.factor(minimum), since: now_ms },
        _ => Decision::Free,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_767_225_600_000;
    const MINUTE: i64 = 60_000;
    fn decide_one(count: SlotCount, is_calling_code: bool, state: HoldState, now: i64) -> Decision {
        decide(&[count], is_calling_code, state, now, &GuardSettings::default())
    }

    fn count(sent: u32, verified: u32, unripe: u32) -> SlotCount {
        SlotCount { slot: slot_of(NOW), sent, verified, unripe }
    }

    fn is_held(decision: Decision) -> bool {
        decision != Decision::Free
    }

    #[test]
    fn the_prefixes_of_a_number_go_from_its_calling_code_to_four_digits_before_its_end() {
        let all: Vec<_> = prefixes("919876543210", 2).collect();
        assert_eq!(all, ["91", "919", "9198", "91987", "919876", "9198765", "91987654"]);
        assert_eq!(prefixes("23480", 3).collect::<Vec<_>>(), ["234"], "a short number has its calling code");
    }

    #[test]
    fn a_calling_code_has_one_to_three_digits() {
        for (number, length) in [("12025550123", 1), ("79161234567", 1), ("919876543210", 2), ("989121234567", 2)] {
            assert_eq!(calling_code_len(number), length, "{number}");
        }
        for number in ["2348031234567", "3581234567", "998901234567", "35312345"] {
            assert_eq!(calling_code_len(number), 3, "{number}");
        }
    }

    #[test]
    fn a_prefix_is_held_when_too_few_of_enough_ripe_messages_were_verified() {
        let later = NOW + 3 * MINUTE;
        for (sent, verified, expected) in [(19, 0, false), (20, 3, true), (20, 4, false), (100, 19, true)] {
            let decision = decide_one(count(sent, verified, 0), false, HoldState::default(), later);
            assert_eq!(is_held(decision), expected, "{verified} of {sent}");
        }
    }

    #[test]
    fn a_prefix_is_held_when_more_are_unripe_than_the_minimum_and_twice_its_busiest_five_minutes() {
        let slot = slot_of(NOW) - 100;
        let busy = SlotCount { slot, sent: 15, verified: 12, unripe: 0 };
        let attacked = SlotCount { slot: slot + 1, sent: 500, verified: 5, unripe: 0 };
        for (unripe, expected) in [(20, false), (30, false), (31, true)] {
            let counts = [busy, attacked, count(unripe, 0, unripe)];
            let decision = decide(&counts, false, HoldState::default(), NOW, &GuardSettings::default());
            assert_eq!(is_held(decision), expected, "{unripe}");
        }
        assert!(is_held(decide_one(count(21, 0, 21), false, HoldState::default(), NOW)), "without a past");
    }

    #[test]
    fn a_calling_code_alone_needs_ten_times_the_minimum() {
        for (sent, unripe, expected) in [(199, 0, false), (200, 0, true), (200, 200, false), (201, 201, true)] {
            let decision = decide_one(count(sent, 0, unripe), true, HoldState::default(), NOW);
            assert_eq!(is_held(decision), expected, "{sent}, {unripe} unripe");
        }
    }

    #[test]
    fn what_a_node_that_crashed_left_unripe_ends_by_itself() {
        let left = count(21, 0, 21);
        let end = (left.slot + 1) * SLOT_MS;
        assert_eq!(left.unripe_at(end + RIPE_MS), 21);
        assert_eq!(left.unripe_at(end + RIPE_MS + 1), 0);
        assert_eq!(count(21, 15, 21).unripe_at(NOW), 6, "no more than are unverified");
    }

    #[test]
    fn the_cost_doubles_with_each_further_minimum_up_to_sixteen_times() {
        for (sent, verified, expected) in
            [(39, 0, 1), (40, 0, 2), (60, 0, 4), (80, 0, 8), (100, 0, 16), (999, 0, 16), (100, 10, 8)]
        {
            let decision = decide_one(count(sent, verified, 0), false, HoldState::default(), NOW);
            assert!(matches!(decision, Decision::Held { factor, .. } if factor == expected), "{sent}: {decision:?}");
        }
    }

    #[test]
    fn a_held_prefix_is_free_when_the_share_of_a_whole_window_recovered() {
        let state = HoldState { held_since: Some(NOW - 60 * MINUTE), ..HoldState::default() };
        assert!(is_held(decide_one(count(20, 3, 0), false, state, NOW)), "the share is too small");
        assert!(is_held(decide_one(count(3, 3, 0), false, state, NOW)), "three people say nothing");
        assert!(!is_held(decide_one(count(5, 4, 0), false, state, NOW)));
        let early = HoldState { held_since: Some(NOW - 59 * MINUTE), ..HoldState::default() };
        assert!(is_held(decide_one(count(5, 4, 0), false, early, NOW)), "before a window has passed");
    }

    #[test]
    fn a_ceiling_asks_for_a_challenge_and_refuses_at_twice_as_many() {
        let settings = GuardSettings::default();
        for (sent, expected) in
            [(999, Ceiling::Below), (1_000, Ceiling::Challenge), (1_999, Ceiling::Challenge), (2_000, Ceiling::Refuse)]
        {
            assert_eq!(ceiling(sent, settings.ceiling_per_country), expected, "{sent}");
        }
    }
}
