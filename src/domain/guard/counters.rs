//! The counts of every prefix, and what follows from them.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

use serde::Serialize;

use super::{
    Ceiling, DAY_MS, Decision, GuardSettings, HoldState, KEPT_COUNTS, KEPT_MS, KEPT_UNRIPE, RIPE_MS, SEVERAL, SLOT_MS,
    SlotCount, Sums, calling_code_len, ceiling, decide, few, prefixes, slot_of,
};

/// The key of all messages together; those to a region stand under its two letters. No number begins so.
const IN_ALL: &str = "*";

/// New counts of a prefix and slot since the last flush, to be added to the kept ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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

    /// Counts a message for the ceilings, where `region` has two letters.
    pub fn sent_to(&mut self, region: &str, now_ms: i64) {
        for key in [region, IN_ALL] {
            self.add(key, slot_of(now_ms), [1, 0, 0]);
        }
    }

    /// The words of the region's ceiling and of the one over all on a message to the region.
    pub fn ceilings(&self, region: &str, now_ms: i64) -> [Ceiling; 2] {
        let within = |key: &str, span_ms: i64| {
            // A slot counts as long as any of it is within the span.
            let slots = self.since(key, slot_of(now_ms - span_ms));
            slots.fold(0_u32, |sum, count| sum.saturating_add(count.sent))
        };
        let GuardSettings { ceiling: all, ceiling_per_country: country, .. } = self.settings;
        [ceiling(within(region, country.1), country), ceiling(within(IN_ALL, all.1), all)]
    }

    /// Counts a code of a purpose that was judged.
    pub fn judged(&mut self, purpose: &str, is_right: bool, now_ms: i64) {
        self.add(purpose, slot_of(now_ms), [1, i64::from(is_right), 0]);
    }

    /// The right and the wrong codes of a purpose within a span.
    pub fn judged_within(&self, purpose: &str, span_ms: i64, now_ms: i64) -> (u32, u32) {
        let counts = self.since(purpose, slot_of(now_ms - span_ms));
        let (all, right) = counts.fold((0, 0), |(all, right), count| (all + count.sent, right + count.verified));
        (right, all - right.min(all))
    }

    /// Marks a purpose at this time.
    pub fn mark(&mut self, purpose: &str, now_ms: i64) {
        self.enter(purpose, HoldState { held_since: Some(now_ms), ..HoldState::default() });
    }

    /// When a purpose was marked last, on any node.
    pub fn marked_at(&self, purpose: &str) -> Option<i64> {
        self.states.get(purpose)?.held_since
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
        let prefixes = self.counts.keys().filter(|key| is_prefix(key));
        self.judge_each(prefixes.cloned().collect(), now_ms);
    }

    /// The prefixes that are held, ascending, each with its state.
    pub fn held(&self) -> impl Iterator<Item = (&str, HoldState)> {
        let held = self.states.iter().filter(|(key, state)| is_prefix(key) && state.held_since.is_some());
        held.map(|(prefix, state)| (prefix.as_str(), *state))
    }

    /// The word on a prefix, held or free, without changing its state.
    pub fn peek(&self, prefix: &str, now_ms: i64) -> Decision {
        let state = self.states.get(prefix).copied().unwrap_or_default();
        self.decide_by(prefix, state, &self.explaining(prefix), now_ms)
    }

    /// The messages to a prefix within the window, and the verified ones of those.
    pub fn within_window(&self, prefix: &str, now_ms: i64) -> (u32, u32) {
        let counts = self.since(prefix, slot_of(now_ms - self.settings.window_ms));
        counts.fold((0, 0), |(sent, verified), count| (sent + count.sent, verified + count.verified))
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
            if is_prefix(prefix) && count.sent.saturating_sub(count.verified) >= few(&self.settings) {
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

    /// Takes back the states that could not be written.
    pub fn give_back_changed(&mut self, changed: Vec<(String, HoldState)>) {
        self.changed.extend(changed.into_iter().map(|(prefix, _)| prefix));
    }

    /// Takes over a state of the database, unless this node has changed it since it was told.
    pub fn absorb_state(&mut self, prefix: &str, state: HoldState) {
        if !self.changed.contains(prefix) {
            self.states.insert(prefix.to_owned(), state);
        }
    }

    /// Adds to each prefix of the number in the slot of that time.
    fn count(&mut self, number: &str, at_ms: i64, new: [i64; 3]) {
        let few = few(&self.settings);
        for prefix in prefixes(number, calling_code_len(number)) {
            let Some(count) = self.add(prefix, slot_of(at_ms), new) else { return };
            if new[0] > 0 && count.sent.saturating_sub(count.verified) >= few {
                self.noted.insert(prefix.to_owned());
            }
        }
    }

    /// Adds to the counts of a prefix and slot, and to what is not in the database yet.
    fn add(&mut self, prefix: &str, slot: i64, new: [i64; 3]) -> Option<SlotCount> {
        let count = self.slot(prefix, slot)?;
        *count = plus(*count, new);
        let count = *count;
        let delta = self.deltas.entry((prefix.to_owned(), slot)).or_default();
        *delta = [delta[0] + new[0], delta[1] + new[1], delta[2] + new[2]];
        Some(count)
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

/// Whether it is digits: no key of the ceilings is, and no purpose.
fn is_prefix(key: &str) -> bool {
    key.starts_with(|first: char| first.is_ascii_digit())
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

    fn is_held(decision: Decision) -> bool {
        decision != Decision::Free
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
    fn the_ceilings_count_a_region_and_all_together() {
        let mut counters = Counters::new(GuardSettings {
            ceiling: (6, 3_600_000),
            ceiling_per_country: (3, 3_600_000),
            ..GuardSettings::default()
        });
        for nth in 0..5 {
            counters.sent_to("IN", NOW + nth);
        }
        assert_eq!(counters.ceilings("IN", NOW + 9), [Ceiling::Challenge, Ceiling::Below], "more than its three");
        assert_eq!(counters.ceilings("US", NOW + 9), [Ceiling::Below, Ceiling::Below]);
        counters.sent_to("IN", NOW + 9);
        assert_eq!(counters.ceilings("IN", NOW + 9), [Ceiling::Refuse, Ceiling::Challenge]);
        assert_eq!(counters.ceilings("US", NOW + 9), [Ceiling::Below, Ceiling::Challenge], "six in all");
        let later = NOW + 3_600_000 + 2 * SLOT_MS;
        assert_eq!(counters.ceilings("IN", later), [Ceiling::Below, Ceiling::Below]);
        assert!(held(&counters).is_empty());
        counters.review(NOW + 9);
    }
}
