//! The pumping guard: for which prefixes of numbers a message needs a challenge first, and why.
//!
//! Pure and in memory: [`decide`] knows only counts, a state and the time, so that `replay` and the simulator
//! decide as the service did. Times are in milliseconds since 1970. `docs` of [`decide`] hold the rule.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

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
const DAY_MS: i64 = 86_400_000;

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

/// Judges the messages of the ceilings' spans: those to the region, and those in all.
pub fn ceiling(to_region: u32, in_all: u32, settings: &GuardSettings) -> Ceiling {
    let judge = |sent: u32, (count, _): (u32, i64)| match sent {
        _ if sent >= count.saturating_mul(2) => Ceiling::Refuse,
        _ if sent >= count => Ceiling::Challenge,
        _ => Ceiling::Below,
    };
    judge(to_region, settings.ceiling_per_country).max(judge(in_all, settings.ceiling))
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

/// New counts of a prefix and slot since the last flush, to be added to the kept ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delta {
    /// The prefix.
    pub prefix: String,
    /// The slot.
    pub slot: i64,
    /// Messages.
    pub sent: i64,
    /// Verified ones.
    pub verified: i64,
    /// Unripe ones; negative as they ripen.
    pub unripe: i64,
}

/// The counts and states of all prefixes, and what of the counts is not in the database yet.
///
/// A longer prefix explains a shorter one: what was sent below a held prefix does not count for the shorter ones
/// while it is held, and what was excused below a lifted one does not either, so that an attack on one range holds
/// that range and not the country. And where a shorter one is to be held for the sake of longer ones that are doubtful
/// (a quarter of `minimum` unverified, and less than `share` verified), those are held in its place, a little early:
/// the fewer numbers, and none that would not be held without this. Ten longer ones explain a shorter one no longer,
/// they are it: then all counts. Without that end, each fresh range would be worth a `minimum` to the attacker.
#[derive(Clone)] // not `Debug`: it knows whole numbers
pub struct Counters {
    settings: GuardSettings,
    counts: BTreeMap<String, BTreeMap<i64, SlotCount>>,
    /// How many counts that is.
    kept: usize,
    states: BTreeMap<String, HoldState>,
    changed: BTreeSet<String>,
    /// The prefixes with a slot of the window that has [`few`] unverified ones: where to look for longer ones.
    noted: BTreeSet<String>,
    deltas: BTreeMap<(String, i64), [i64; 3]>,
    /// Messages by time and number that this node sent and that are unripe.
    unripe: BTreeMap<(i64, String), u32>,
    tidied: i64,
}

impl Counters {
    /// Nothing counted yet.
    pub fn new(settings: GuardSettings) -> Self {
        Self {
            settings,
            counts: BTreeMap::new(),
            kept: 0,
            states: BTreeMap::new(),
            changed: BTreeSet::new(),
            noted: BTreeSet::new(),
            deltas: BTreeMap::new(),
            unripe: BTreeMap::new(),
            tidied: i64::MIN,
        }
    }

    /// Counts a message to the number, in E.164 without its plus sign.
    pub fn sent(&mut self, number: &str, now_ms: i64) {
        let room = self.unripe.len() < KEPT_UNRIPE;
        if room {
            *self.unripe.entry((now_ms, number.to_owned())).or_default() += 1;
        }
        self.count(number, now_ms, [1, 0, i64::from(room)]);
    }

    /// Counts the code of the message of `sent_at` as used.
    pub fn verified(&mut self, number: &str, sent_at_ms: i64, now_ms: i64) {
        self.ripen(now_ms);
        let key = (sent_at_ms, number.to_owned());
        // Sent by another node, it ripens there: taking it off here too would count it twice.
        let mut ripened = 0;
        if let Some(messages) = self.unripe.get_mut(&key) {
            *messages -= 1;
            ripened = -1;
            if *messages == 0 {
                self.unripe.remove(&key);
            }
        }
        self.count(number, sent_at_ms, [0, 1, ripened]);
    }

    /// Counts the messages as ripe that are old enough, and once a slot forgets what is too old and looks at every
    /// held prefix, also at one that nobody asks for. To be called before each flush.
    pub fn ripen(&mut self, now_ms: i64) {
        while let Some(oldest) = self.unripe.first_entry().filter(|oldest| oldest.key().0 <= now_ms - RIPE_MS) {
            let ((sent_at, number), messages) = oldest.remove_entry();
            self.count(&number, sent_at, [0, 0, -i64::from(messages)]);
        }
        if self.tidied < slot_of(now_ms) {
            self.tidied = slot_of(now_ms);
            self.tidy(now_ms);
        }
    }

    /// The word on a number: held when any of its prefixes is, by the dearest of them.
    pub fn decision(&mut self, number: &str, now_ms: i64) -> Decision {
        self.ripen(now_ms);
        // Again, where longer ones were held in place of a shorter one: the number may be below them. With a hold of
        // no length nothing stays held, and it must end all the same.
        (0..3).find_map(|_| self.look(number, now_ms)).unwrap_or(Decision::Free)
    }

    fn look(&mut self, number: &str, now_ms: i64) -> Option<Decision> {
        let mut dearest = Decision::Free;
        let mut replaced = false;
        // The longest first: once it is held, it explains the shorter ones.
        for prefix in prefixes(number, calling_code_len(number)).rev() {
            match self.judge(prefix, now_ms) {
                Some(decision) => dearest = dearest.max(decision),
                None => replaced = true,
            }
        }
        (!replaced).then_some(dearest)
    }

    /// Decides about every prefix that was counted and keeps the states: for `replay`, once the counts of a slot are
    /// absorbed. The service decides as messages are asked for.
    pub fn review(&mut self, now_ms: i64) {
        self.ripen(now_ms);
        self.judge_each(self.counts.keys().cloned().collect(), now_ms);
    }

    /// The prefixes that are held, ascending, each with its state.
    pub fn held(&self) -> impl Iterator<Item = (&str, HoldState)> {
        let held = self.states.iter().filter(|(_, state)| state.held_since.is_some());
        held.map(|(prefix, state)| (prefix.as_str(), *state))
    }

    /// The word on a prefix, held or free, without changing its state.
    pub fn peek(&self, prefix: &str, now_ms: i64) -> Decision {
        let state = self.states.get(prefix).copied().unwrap_or_default();
        self.decide_by(prefix, state, &self.explaining(prefix), now_ms)
    }

    /// Lifts a prefix and each longer one that is held: what was counted so far counts against none of them.
    pub fn lift(&mut self, prefix: &str, now_ms: i64) {
        let below = self.held().map(|(held, _)| held).filter(|held| held.starts_with(prefix));
        let mut lifted: Vec<_> = below.map(str::to_owned).collect();
        lifted.push(prefix.to_owned());
        for prefix in lifted {
            self.enter(&prefix, HoldState::lifted(self.current(&prefix, now_ms), now_ms));
        }
    }

    /// Takes what is new, ascending by prefix and slot; the caller adds it to the database or gives it back.
    pub fn take_deltas(&mut self) -> Vec<Delta> {
        let deltas = std::mem::take(&mut self.deltas).into_iter().filter(|(_, new)| *new != [0; 3]);
        deltas
            .map(|((prefix, slot), [sent, verified, unripe])| Delta { prefix, slot, sent, verified, unripe })
            .collect()
    }

    /// Takes back what could not be added to the database.
    pub fn give_back(&mut self, deltas: Vec<Delta>) {
        for delta in deltas {
            let new = self.deltas.entry((delta.prefix, delta.slot)).or_default();
            *new = [new[0] + delta.sent, new[1] + delta.verified, new[2] + delta.unripe];
        }
    }

    /// Takes over the database's counts of a prefix and slot, which have this node's flushed ones in them.
    pub fn absorb(&mut self, prefix: &str, count: SlotCount) {
        let new = self.deltas.get(&(prefix.to_owned(), count.slot)).copied().unwrap_or_default();
        if let Some(own) = self.slot(prefix, count.slot) {
            *own = plus(count, new);
            if count.sent.saturating_sub(count.verified) >= few(&self.settings) {
                self.noted.insert(prefix.to_owned());
            }
        }
    }

    /// Takes the states that changed since, ascending by prefix, for the database.
    pub fn take_changed(&mut self) -> Vec<(String, HoldState)> {
        let changed = std::mem::take(&mut self.changed).into_iter();
        let state = |prefix: &str| self.states.get(prefix).copied().unwrap_or_default();
        changed.map(|prefix| (state(&prefix), prefix)).map(|(state, prefix)| (prefix, state)).collect()
    }

    /// Takes over a state of the database.
    pub fn absorb_state(&mut self, prefix: &str, state: HoldState) {
        self.states.insert(prefix.to_owned(), state);
    }

    /// Adds to each prefix of the number in the slot of that time.
    fn count(&mut self, number: &str, at_ms: i64, new: [i64; 3]) {
        let few = few(&self.settings);
        for prefix in prefixes(number, calling_code_len(number)) {
            let slot = slot_of(at_ms);
            let Some(count) = self.slot(prefix, slot) else { return };
            *count = plus(*count, new);
            if new[0] > 0 && count.sent.saturating_sub(count.verified) >= few {
                self.noted.insert(prefix.to_owned());
            }
            let delta = self.deltas.entry((prefix.to_owned(), slot)).or_default();
            *delta = [delta[0] + new[0], delta[1] + new[1], delta[2] + new[2]];
        }
    }

    /// The counts of a prefix and slot; `None` when there is no room for new ones.
    fn slot(&mut self, prefix: &str, slot: i64) -> Option<&mut SlotCount> {
        let known = self.counts.get(prefix).is_some_and(|slots| slots.contains_key(&slot));
        if !known {
            if self.kept >= KEPT_COUNTS && prefix.len() > calling_code_len(prefix) + 2 {
                return None;
            }
            self.kept += 1;
            let slots = self.counts.entry(prefix.to_owned()).or_default();
            slots.insert(slot, SlotCount { slot, ..SlotCount::default() });
        }
        self.counts.get_mut(prefix)?.get_mut(&slot)
    }

    fn current(&self, prefix: &str, now_ms: i64) -> SlotCount {
        let counts = self.counts.get(prefix).and_then(|slots| slots.get(&slot_of(now_ms)));
        let current = counts.copied().unwrap_or_default();
        SlotCount { slot: slot_of(now_ms), ..current }
    }

    /// Decides about a prefix, given those that explain it.
    fn decide_by(&self, prefix: &str, state: HoldState, explaining: &[(&str, HoldState)], now_ms: i64) -> Decision {
        let decide = |span_ms: i64| {
            let counts = self.unexplained(prefix, explaining, slot_of(now_ms - span_ms));
            decide(&counts, is_calling_code(prefix), state, now_ms, &self.settings)
        };
        // What the window alone frees, its busiest five minutes free all the more; most are decided by that.
        let window = self.settings.window_ms.max(SLOT_MS + RIPE_MS);
        if state.held_since.is_none() && decide(window) == Decision::Free {
            return Decision::Free;
        }
        decide(DAY_MS.max(window))
    }

    /// Decides about a prefix and keeps the state that follows; `None` if longer ones were held in its place.
    fn judge(&mut self, prefix: &str, now_ms: i64) -> Option<Decision> {
        let state = self.states.get(prefix).copied().unwrap_or_default();
        if state == HoldState::default() && !self.counts.contains_key(prefix) {
            return Some(Decision::Free);
        }
        let explaining = self.explaining(prefix);
        let decision = self.decide_by(prefix, state, &explaining, now_ms);
        if decision != Decision::Free && state.held_since.is_none() {
            let doubtful = self.doubtful(prefix, &explaining, now_ms);
            // A lifted one may be doubtful again by what came since; then all of it explains.
            let again = |longer: &str| doubtful.iter().any(|(other, _)| *other == longer);
            let mut all: Vec<_> = explaining.iter().copied().filter(|(longer, _)| !again(longer)).collect();
            all.extend(&doubtful);
            if self.decide_by(prefix, state, &all, now_ms) == Decision::Free {
                let instead: Vec<_> = doubtful.iter().map(|(longer, state)| ((*longer).to_owned(), *state)).collect();
                for (longer, state) in instead {
                    self.enter(&longer, state);
                }
                return None;
            }
        }
        let next = state.after(decision, self.current(prefix, now_ms), now_ms, &self.settings);
        if next != state {
            self.enter(prefix, next);
        }
        Some(decision)
    }

    fn judge_each(&mut self, mut prefixes: Vec<String>, now_ms: i64) {
        prefixes.sort_by_key(|prefix| std::cmp::Reverse(prefix.len()));
        for prefix in prefixes {
            self.judge(&prefix, now_ms);
        }
    }

    fn enter(&mut self, prefix: &str, state: HoldState) {
        self.states.insert(prefix.to_owned(), state);
        self.changed.insert(prefix.to_owned());
    }

    /// The counts of a prefix from that slot on.
    fn since(&self, prefix: &str, first: i64) -> impl Iterator<Item = SlotCount> {
        let slots = self.counts.get(prefix).into_iter();
        slots.flat_map(move |slots| slots.range(first..)).map(|(_, count)| *count)
    }

    /// The counts of a prefix from that slot on that none of these longer ones explains.
    fn unexplained(&self, prefix: &str, explaining: &[(&str, HoldState)], first: i64) -> Vec<SlotCount> {
        let mut counts: Vec<_> = self.since(prefix, first).collect();
        if explaining.len() >= SEVERAL {
            return counts;
        }
        for (longer, state) in explaining {
            let lifted = state.held_since.is_none() && state.lifted_at.is_some();
            for count in self.since(longer, first) {
                let explained = if lifted { count.minus(state.counted(count)) } else { count };
                if let Ok(at) = counts.binary_search_by_key(&count.slot, |count| count.slot) {
                    counts[at] = counts[at].minus(explained);
                }
            }
        }
        counts
    }

    /// The longest prefixes below this one that are doubtful and no part of a held one, each with the state it would
    /// be held in; at most [`SEVERAL`].
    fn doubtful(&self, prefix: &str, explaining: &[(&str, HoldState)], now_ms: i64) -> Vec<(&str, HoldState)> {
        let first = slot_of(now_ms - self.settings.window_ms);
        let after = (Bound::Excluded(prefix), Bound::Unbounded);
        let mut noted = self.noted.range::<str, _>(after).take_while(|longer| longer.starts_with(prefix)).peekable();
        let mut found: Vec<(&str, HoldState)> = Vec::new();
        while let Some(longer) = noted.next()
            && found.len() < SEVERAL
        {
            let longest = noted.peek().is_none_or(|next| !next.starts_with(longer.as_str()));
            let related = |other: &str| longer.starts_with(other) || other.starts_with(longer.as_str());
            let known = explaining.iter().any(|(other, state)| state.held_since.is_some() && related(other));
            if longest && !known {
                let state = self.states.get(longer).copied().unwrap_or_default();
                let counts: Vec<_> = self.since(longer, first).collect();
                if Sums::of(&counts, state, now_ms, &self.settings).doubtful(&self.settings) {
                    found.push((longer, HoldState { held_since: Some(now_ms), ..state }));
                }
            }
        }
        found
    }

    /// The longer prefixes that are held or were lifted, at most [`SEVERAL`]: none below a held one, and below a
    /// lifted one only those that were held since.
    fn explaining(&self, prefix: &str) -> Vec<(&str, HoldState)> {
        let mut found: Vec<(&str, HoldState)> = Vec::new();
        let mut lifted: Option<&str> = None;
        let mut after = Bound::Excluded(prefix.to_owned());
        while found.len() < SEVERAL
            && let Some((longer, state)) = self.states.range((after, Bound::Unbounded)).next()
            && longer.starts_with(prefix)
        {
            let held = state.held_since.is_some();
            let covered = lifted.is_some_and(|lifted| longer.starts_with(lifted));
            if held || (state.lifted_at.is_some() && !covered) {
                found.push((longer, *state));
            }
            if !held && !covered && state.lifted_at.is_some() {
                lifted = Some(longer);
            }
            // The colon follows the nine: the next one that does not begin with this one.
            after = Bound::Excluded(if held { format!("{longer}:") } else { longer.clone() });
        }
        found
    }

    /// Forgets what is too old, and decides about each held prefix, the longest first.
    fn tidy(&mut self, now_ms: i64) {
        let oldest = slot_of(now_ms - KEPT_MS);
        self.counts.retain(|_, slots| {
            if slots.first_key_value().is_some_and(|(first, _)| *first < oldest) {
                *slots = slots.split_off(&oldest);
            }
            !slots.is_empty()
        });
        self.kept = self.counts.values().map(BTreeMap::len).sum();
        self.judge_each(self.held().map(|(prefix, _)| prefix.to_owned()).collect(), now_ms);
        let first = slot_of(now_ms - self.settings.window_ms);
        let few = few(&self.settings);
        let noteworthy = |count: &SlotCount| count.sent.saturating_sub(count.verified) >= few;
        self.noted.retain(|prefix| {
            let slots = self.counts.get(prefix).into_iter();
            slots.flat_map(|slots| slots.range(first..)).any(|(_, count)| noteworthy(count))
        });
        // A lift matters as long as the window reaches back before it.
        let past = now_ms - self.settings.window_ms - SLOT_MS;
        self.states.retain(|_, state| state.held_since.is_some() || state.lifted_at.is_some_and(|at| at > past));
    }
}

fn is_calling_code(prefix: &str) -> bool {
    prefix.len() <= calling_code_len(prefix)
}

fn plus(count: SlotCount, new: [i64; 3]) -> SlotCount {
    let add = |old: u32, new: i64| u32::try_from((i64::from(old) + new).max(0)).unwrap_or(u32::MAX);
    SlotCount {
        slot: count.slot,
        sent: add(count.sent, new[0]),
        verified: add(count.verified, new[1]),
        unripe: add(count.unripe, new[2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_767_225_600_000;
    const MINUTE: i64 = 60_000;
    const RANGE: &str = "91876543";

    fn counters() -> Counters {
        Counters::new(GuardSettings::default())
    }

    /// So many numbers of a range are asked for, one a `step`; how many went out without a challenge.
    fn pump(counters: &mut Counters, range: &str, count: i64, begin: i64, step: i64) -> i64 {
        let mut sent = 0;
        for nth in 0..count {
            let (number, at) = (format!("{range}{nth:04}"), begin + nth * step);
            if counters.decision(&number, at) == Decision::Free {
                counters.sent(&number, at);
                sent += 1;
            }
        }
        sent
    }

    /// Honest people all over +91 98, one a `step`, each verified after half a minute, or as soon as the next comes.
    fn people(counters: &mut Counters, count: i64, begin: i64, step: i64) {
        let number = |nth: i64| format!("9198{:08}", nth * 7_654_321 % 100_000_000);
        for nth in 0..count {
            let at = begin + nth * step;
            let due = (30_000 / step).max(1);
            if nth >= due {
                counters.verified(&number(nth - due), at - due * step, at);
            }
            counters.decision(&number(nth), at);
            counters.sent(&number(nth), at);
        }
    }

    fn held(counters: &Counters) -> Vec<&str> {
        counters.held().map(|(prefix, _)| prefix).collect()
    }

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
    fn a_hold_ends_by_its_length_and_what_came_before_counts_no_longer() {
        let settings = GuardSettings::default();
        let mut counters = counters();
        assert_eq!(pump(&mut counters, RANGE, 100, NOW, 1_000), 21);
        let end = NOW + 20_000 + settings.hold_ms;
        let number = format!("{RANGE}0001");
        assert!(is_held(counters.decision(&number, end - 1_000)));
        counters.sent(&number, end - 500);
        assert_eq!(counters.decision(&number, end + 1_000), Decision::Free);
        assert_eq!(pump(&mut counters, RANGE, 100, end + 2_000, 1_000), 21, "from nought");
    }

    #[test]
    fn after_a_lift_only_what_comes_later_counts() {
        let mut counters = counters();
        assert_eq!(pump(&mut counters, RANGE, 100, NOW, 1_000), 21);
        counters.lift("9187", NOW + 100_000);
        assert!(held(&counters).is_empty(), "the longer ones are lifted too");
        assert_eq!(pump(&mut counters, RANGE, 100, NOW + 101_000, 100), 21, "and nothing shorter took their place");
        assert_eq!(held(&counters), [RANGE]);
    }

    #[test]
    fn an_attack_on_one_range_holds_that_range_alone() {
        let mut counters = counters();
        people(&mut counters, 200, NOW, 7_000);
        let begin = NOW + 200 * 7_000;
        assert!(pump(&mut counters, "91980001", 1_000, begin, 300) <= 21);
        assert_eq!(held(&counters), ["91980001"]);
        assert_eq!(counters.decision("919811112222", begin + 300_000), Decision::Free);
    }

    #[test]
    fn a_range_that_was_lifted_is_held_in_place_of_a_shorter_one_too() {
        let mut counters = counters();
        counters.lift("91980001", NOW - 1_000);
        for nth in 0..40 {
            // Each fifth is somebody next to the range, so that the shorter one has the minimum first.
            let range = if nth % 5 == 0 { "91980002" } else { "91980001" };
            pump(&mut counters, range, 1, NOW + nth * 40_000, 1);
        }
        assert_eq!(held(&counters), ["91980001"]);
    }

    #[test]
    fn ten_held_ranges_hold_what_they_have_in_common() {
        let mut counters = counters();
        for nth in 0..12 {
            pump(&mut counters, &format!("9187654{}", nth % 10), 50, NOW + nth * 10_000, 100);
        }
        assert!(held(&counters).contains(&"9187654"), "{:?}", held(&counters));
        assert!(!held(&counters).contains(&"91"));
    }

    #[test]
    fn a_crowd_is_free_again_once_it_has_verified() {
        let mut counters = counters();
        people(&mut counters, 200, NOW, 1_000);
        assert!(!held(&counters).is_empty(), "a service that opens to a crowd is held at first");
        people(&mut counters, 600, NOW + 200_000, 1_000);
        assert!(held(&counters).is_empty(), "{:?}", held(&counters));
    }

    #[test]
    fn what_one_node_flushes_another_absorbs() {
        let (mut one, mut other) = (counters(), counters());
        pump(&mut one, RANGE, 15, NOW, 100);
        pump(&mut other, RANGE, 10, NOW, 100);
        let deltas = one.take_deltas();
        assert!(deltas.is_sorted_by_key(|delta| (&delta.prefix, delta.slot)));
        for delta in &deltas {
            let known = |number: i64| u32::try_from(number).unwrap();
            let (sent, verified, unripe) = (known(delta.sent), known(delta.verified), known(delta.unripe));
            // The database has the one's, and the other's are not flushed yet.
            other.absorb(&delta.prefix, SlotCount { slot: delta.slot, sent, verified, unripe });
        }
        assert!(is_held(other.decision(&format!("{RANGE}0001"), NOW + 1_000)), "together they are 25");
        assert!(one.take_deltas().is_empty());
        one.give_back(deltas.clone());
        assert_eq!(one.take_deltas(), deltas);
    }

    #[test]
    fn messages_ripen_once_whether_verified_or_not() {
        let mut counters = counters();
        counters.sent("918765430001", NOW);
        counters.sent("918765430002", NOW);
        counters.verified("918765430001", NOW, NOW + 30_000);
        counters.ripen(NOW + RIPE_MS);
        counters.verified("918765430002", NOW, NOW + RIPE_MS + 1);
        let expected = SlotCount { slot: slot_of(NOW), sent: 2, verified: 2, unripe: 0 };
        assert_eq!(counters.current("91876543", NOW), expected);
        let deltas = counters.take_deltas();
        assert!(deltas.iter().all(|delta| (delta.sent, delta.verified, delta.unripe) == (2, 2, 0)));
    }

    #[test]
    fn what_is_older_than_a_week_is_forgotten() {
        let mut counters = counters();
        counters.sent("918765430001", NOW);
        counters.ripen(NOW + KEPT_MS + 2 * SLOT_MS);
        assert_eq!((counters.kept, counters.counts.len()), (0, 0));
    }

    #[test]
    fn when_there_is_no_room_only_the_shorter_prefixes_are_counted() {
        let mut counters = counters();
        counters.kept = KEPT_COUNTS;
        counters.sent("918765430001", NOW);
        assert_eq!(counters.counts.keys().collect::<Vec<_>>(), ["91", "918", "9187"]);
    }

    #[test]
    fn a_replay_of_kept_counts_holds_the_range_that_the_service_held() {
        let mut counters = counters();
        for (prefix, sent) in [("91", 300), ("918", 50), ("91876543", 40)] {
            let verified = sent - 40;
            counters.absorb(prefix, SlotCount { slot: slot_of(NOW), sent, verified, unripe: 0 });
        }
        counters.review(NOW + SLOT_MS);
        assert_eq!(held(&counters), [RANGE]);
    }

    #[test]
    fn a_hold_of_no_length_holds_nothing() {
        let mut counters = Counters::new(GuardSettings { hold_ms: 0, ..GuardSettings::default() });
        pump(&mut counters, RANGE, 100, NOW, 1_000);
        counters.ripen(NOW + 100_000);
        assert!(held(&counters).len() <= 1 && counters.decision("919876543210", NOW + 200_000) == Decision::Free);
    }

    #[test]
    fn a_changed_state_is_told_once() {
        let mut counters = counters();
        pump(&mut counters, RANGE, 100, NOW, 1_000);
        let changed = counters.take_changed();
        assert_eq!(changed.len(), 1);
        assert!(changed[0].0 == RANGE && changed[0].1.held_since.is_some());
        assert!(counters.take_changed().is_empty());
    }

    #[test]
    fn a_ceiling_asks_for_a_challenge_and_refuses_at_twice_as_many() {
        let settings = GuardSettings::default();
        for (region, all, expected) in [
            (999, 4_999, Ceiling::Below),
            (1_000, 1_000, Ceiling::Challenge),
            (0, 5_000, Ceiling::Challenge),
            (2_000, 2_000, Ceiling::Refuse),
            (0, 10_000, Ceiling::Refuse),
        ] {
            assert_eq!(ceiling(region, all, &settings), expected, "{region}, {all}");
        }
    }
}
