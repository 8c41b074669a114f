//! A simulator of the pumping guard: attacks beside honest people, hour by hour, and a table of who got through.
//!
//! Deterministic: the same seed gives the same table. Nothing here asks a clock; a run takes well under a second.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};
use std::fmt::Write as _;

use super::{Ceiling, Counters, Decision, GuardSettings, ceiling};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
/// The honest people are alone for so long, so that the counters know a usual day.
const QUIET_MS: i64 = 3 * HOUR_MS;
/// 2026-01-01 00:00 UTC; any time does.
const START_MS: i64 = 1_767_225_600_000;
const HONEST_PER_HOUR: u64 = 500;
const HONEST_VERIFY_PERCENT: u64 = 85;
/// A phone of an honest person is so many times slower than a core of the attacker.
const PHONE_BY_CORE: f64 = 4.0;

/// An attack, beside 500 honest people an hour of whom 85 % verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// Honest people alone, in one country.
    Nobody,
    /// 10,000 numbers of one range in an hour, in the honest people's country.
    OneRange,
    /// 10,000 numbers of twenty ranges in five countries in an hour; the honest people are of all five.
    TwentyRanges,
    /// One number a minute of one range, for thirty hours, in the honest people's country.
    Slow,
    /// 10,000 numbers all over the honest people's ranges, in an hour.
    Mixed,
    /// As [`Scenario::OneRange`], by an attacker who verifies a tenth of his own.
    OwnTenth,
    /// As [`Scenario::Mixed`], but so thin that more than `share` of all still verify. No goal: it shows where the
    /// share sees nothing and the ceilings alone hold.
    MixedThin,
}

impl Scenario {
    /// All of them, in the order of the tables.
    pub const ALL: [Self; 7] =
        [Self::Nobody, Self::OneRange, Self::TwentyRanges, Self::Slow, Self::Mixed, Self::OwnTenth, Self::MixedThin];

    /// The attack's name in the tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nobody => "nobody attacks",
            Self::OneRange => "one range",
            Self::TwentyRanges => "twenty ranges, five countries",
            Self::Slow => "slow, one a minute",
            Self::Mixed => "mixed among honest people",
            Self::OwnTenth => "verifies a tenth of his own",
            Self::MixedThin => "mixed, 1,500 an hour (no goal)",
        }
    }

    /// How many numbers are tried in how many hours.
    fn attack(self) -> (u32, i64) {
        match self {
            Self::Nobody => (0, 12),
            Self::Slow => (1_800, 30),
            Self::MixedThin => (3_000, 2),
            _ => (10_000, 1),
        }
    }

    fn countries(self) -> &'static [Country] {
        if self == Self::TwentyRanges { &COUNTRIES } else { &COUNTRIES[..1] }
    }
}

/// The attacker's answer to a challenge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attacker {
    /// He goes on to the next number.
    SolvesNothing,
    /// He solves it, at once: he has cores enough, and pays for them.
    Solves,
}

/// The result of a run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Outcome {
    /// Messages the attacker asked for.
    pub tried: u32,
    /// Those of them that went out.
    pub sent: u32,
    /// Challenges the attacker solved, each counted by its cost factor.
    pub solved_factors: u64,
    /// Honest people.
    pub honest: u32,
    /// Those of them who were asked for a challenge.
    pub challenged: u32,
    /// Those of them who were refused, at twice a ceiling.
    pub refused: u32,
    /// Those of them whose code went out.
    pub got_code: u32,
    /// Those of the challenges of honest people that cost more than the usual one.
    pub dearer: u32,
    /// Every prefix that was held at some time.
    pub held: BTreeSet<String>,
}

impl Outcome {
    /// The share of the attacker's messages that went out.
    pub fn leaked(&self) -> f64 {
        f64::from(self.sent) / f64::from(self.tried.max(1))
    }

    /// The share of the honest people whose code went out.
    pub fn served(&self) -> f64 {
        f64::from(self.got_code) / f64::from(self.honest.max(1))
    }

    /// The seconds of one core that a message cost the attacker.
    pub fn seconds_a_message(&self, seconds_per_solution: f64) -> f64 {
        let factors = u32::try_from(self.solved_factors).unwrap_or(u32::MAX);
        f64::from(factors) * seconds_per_solution / f64::from(self.sent.max(1))
    }
}

/// Both tables: an attacker who solves no challenge, and what a message costs one who does. `seconds_per_solution`
/// is what a challenge at the usual cost takes one core of his.
pub fn table(seed: u64, seconds_per_solution: f64) -> String {
    let mut text = String::from("An attacker who solves no challenge\n");
    let solve = |scenario, attacker| run(scenario, attacker, seed, seconds_per_solution, GuardSettings::default());
    line(&mut text, "attack", ["tried", "sent", "of tried", "honest", "challenged", "refused", "got code", "held"]);
    for scenario in Scenario::ALL {
        let outcome = solve(scenario, Attacker::SolvesNothing);
        let mut columns = columns(&outcome);
        columns[7] = outcome.held.len().to_string();
        line(&mut text, scenario.name(), columns.each_ref().map(String::as_str));
    }
    let _ = write!(text, "\nAn attacker who solves each, {seconds_per_solution} s of one core at the usual cost\n");
    line(
        &mut text,
        "attack",
        ["tried", "sent", "of tried", "honest", "challenged", "refused", "got code", "s/message"],
    );
    for scenario in Scenario::ALL.into_iter().skip(1) {
        let outcome = solve(scenario, Attacker::Solves);
        let mut columns = columns(&outcome);
        columns[7] = format!("{:.2}", outcome.seconds_a_message(seconds_per_solution));
        line(&mut text, scenario.name(), columns.each_ref().map(String::as_str));
    }
    text
}

fn columns(outcome: &Outcome) -> [String; 8] {
    let leaked = format!("{:.2} %", outcome.leaked() * 100.0);
    let served = format!("{:.2} %", outcome.served() * 100.0);
    let counts = [outcome.honest, outcome.challenged, outcome.refused].map(|count| count.to_string());
    let [honest, challenged, refused] = counts;
    [outcome.tried.to_string(), outcome.sent.to_string(), leaked, honest, challenged, refused, served, String::new()]
}

fn line(text: &mut String, name: &str, columns: [&str; 8]) {
    let _ = write!(text, "{name:<31}");
    for column in columns {
        let _ = write!(text, "{column:>11}");
    }
    text.push('\n');
}

/// Runs one scenario.
pub fn run(
    scenario: Scenario,
    attacker: Attacker,
    seed: u64,
    seconds_per_solution: f64,
    settings: GuardSettings,
) -> Outcome {
    let mut world = World::new(scenario, attacker, seed, seconds_per_solution, settings);
    world.plan();
    while let Some(Reverse((at, _, event))) = world.agenda.pop() {
        world.happen(at, event);
    }
    world.outcome
}

/// The mobile ranges of a country that its honest people have.
struct Country {
    calling_code: &'static str,
    /// The digits of a number after the calling code.
    digits: usize,
    ranges: [&'static str; 12],
}

const COUNTRIES: [Country; 5] = [
    Country {
        calling_code: "91",
        digits: 10,
        ranges: ["9810", "9820", "9845", "9876", "9900", "9945", "9740", "9640", "9030", "8800", "8754", "7042"],
    },
    Country {
        calling_code: "234",
        digits: 10,
        ranges: ["803", "806", "813", "816", "703", "706", "903", "802", "808", "701", "805", "817"],
    },
    Country {
        calling_code: "62",
        digits: 11,
        ranges: ["811", "812", "813", "821", "852", "857", "856", "815", "877", "878", "895", "838"],
    },
    Country {
        calling_code: "92",
        digits: 10,
        ranges: ["300", "301", "302", "303", "306", "312", "313", "321", "333", "340", "345", "347"],
    },
    Country {
        calling_code: "44",
        digits: 10,
        ranges: ["7400", "7455", "7508", "7533", "7712", "7733", "7801", "7850", "7904", "7940", "7985", "7415"],
    },
];

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// An honest person of the country asks for a code, with a solved challenge or without.
    Asks { country: usize, number: String, solved: bool },
    /// The attacker asks.
    Pumps { country: usize, number: String },
    /// Somebody uses the code of a message.
    Verifies { number: String, sent_at: i64 },
}

struct World {
    scenario: Scenario,
    attacker: Attacker,
    seconds_per_solution: f64,
    settings: GuardSettings,
    random: Random,
    counters: Counters,
    agenda: BinaryHeap<Reverse<(i64, u64, Event)>>,
    planned: u64,
    flushed: i64,
    /// The times of the messages to each country, and of all.
    sent: [VecDeque<i64>; 6],
    outcome: Outcome,
}

impl World {
    fn new(
        scenario: Scenario,
        attacker: Attacker,
        seed: u64,
        seconds_per_solution: f64,
        settings: GuardSettings,
    ) -> Self {
        Self {
            scenario,
            attacker,
            seconds_per_solution,
            settings,
            random: Random(seed),
            counters: Counters::new(settings),
            agenda: BinaryHeap::new(),
            planned: 0,
            flushed: START_MS,
            sent: Default::default(),
            outcome: Outcome::default(),
        }
    }

    /// Puts everybody's first request on the agenda.
    fn plan(&mut self) {
        let (tries, hours) = self.scenario.attack();
        let countries = self.scenario.countries();
        let length = QUIET_MS + hours * HOUR_MS;
        let honest = HONEST_PER_HOUR * length.unsigned_abs() / HOUR_MS.unsigned_abs();
        for _ in 0..honest {
            let at = START_MS + self.random.below_ms(length);
            let country = self.random.index(countries.len());
            let number = self.somebody(&countries[country]);
            self.put(at, Event::Asks { country, number, solved: false });
        }
        let ranges = self.attacked_ranges();
        let begin = START_MS + QUIET_MS;
        for nth in 0..tries {
            let at = begin + hours * HOUR_MS * i64::from(nth) / i64::from(tries) + self.random.below_ms(300);
            let (country, number) = if ranges.is_empty() {
                (0, self.somebody(&countries[0]))
            } else {
                let (country, range) = &ranges[nth as usize % ranges.len()];
                (*country, format!("{range}{:04}", nth as usize / ranges.len()))
            };
            self.put(at, Event::Pumps { country, number });
        }
    }

    /// The ranges of 10,000 numbers that are attacked, each with its country; none if he is mixed among people.
    fn attacked_ranges(&mut self) -> Vec<(usize, String)> {
        let count = match self.scenario {
            Scenario::Nobody | Scenario::Mixed | Scenario::MixedThin => 0,
            Scenario::TwentyRanges => 20,
            Scenario::OneRange | Scenario::Slow | Scenario::OwnTenth => 1,
        };
        let countries = self.scenario.countries();
        let range = |nth: usize| {
            let country = nth % countries.len();
            let number = self.somebody(&countries[country]);
            (country, number[..number.len() - 4].to_owned())
        };
        (0..count).map(range).collect()
    }

    /// A number of a country, in a range that honest people have.
    fn somebody(&mut self, country: &Country) -> String {
        let mut number = format!("{}{}", country.calling_code, country.ranges[self.random.index(12)]);
        while number.len() < country.calling_code.len() + country.digits {
            let _ = write!(number, "{}", self.random.below(10));
        }
        number
    }

    fn put(&mut self, at: i64, event: Event) {
        self.planned += 1;
        self.agenda.push(Reverse((at, self.planned, event)));
    }

    fn happen(&mut self, at: i64, event: Event) {
        // As a node does it, but with nothing to add it to.
        if at - self.flushed >= 1_000 {
            self.counters.ripen(at);
            self.counters.take_deltas();
            self.flushed = at;
        }
        match event {
            Event::Asks { country, number, solved } => self.ask(at, country, number, solved),
            Event::Pumps { country, number } => self.pump(at, country, number),
            Event::Verifies { number, sent_at } => self.counters.verified(&number, sent_at, at),
        }
    }

    fn ask(&mut self, at: i64, country: usize, number: String, solved: bool) {
        let (factor, ceiling) = self.judge(at, country, &number);
        self.outcome.honest += u32::from(!solved);
        if ceiling == Ceiling::Refuse {
            self.outcome.refused += 1;
            return;
        }
        if let Some(factor) = factor.filter(|_| !solved) {
            self.outcome.challenged += 1;
            self.outcome.dearer += u32::from(factor > 1);
            let seconds = self.seconds_per_solution * PHONE_BY_CORE * f64::from(factor);
            let took = std::time::Duration::from_secs_f64(seconds).as_millis();
            let back = at + i64::try_from(took).unwrap_or(HOUR_MS);
            self.put(back, Event::Asks { country, number, solved: true });
            return;
        }
        self.outcome.got_code += 1;
        self.send(at, country, number, HONEST_VERIFY_PERCENT);
    }

    fn pump(&mut self, at: i64, country: usize, number: String) {
        let (factor, ceiling) = self.judge(at, country, &number);
        self.outcome.tried += 1;
        let stopped = factor.is_some() && self.attacker == Attacker::SolvesNothing;
        if ceiling == Ceiling::Refuse || stopped {
            return;
        }
        self.outcome.solved_factors += factor.map_or(0, u64::from);
        self.outcome.sent += 1;
        let own_percent = if self.scenario == Scenario::OwnTenth { 10 } else { 0 };
        self.send(at, country, number, own_percent);
    }

    /// The cost factor of the challenge that is asked for, if one is, and the ceilings' word.
    fn judge(&mut self, at: i64, country: usize, number: &str) -> (Option<u32>, Ceiling) {
        let to_region = within(&mut self.sent[country], at, self.settings.ceiling_per_country.1);
        let in_all = within(&mut self.sent[5], at, self.settings.ceiling.1);
        let by_country = ceiling(to_region, self.settings.ceiling_per_country);
        let ceiling = by_country.max(ceiling(in_all, self.settings.ceiling));
        let factor = match self.counters.decision(number, at) {
            Decision::Held { factor, since } => {
                if since == at {
                    self.outcome.held.extend(self.counters.held().map(|(prefix, _)| prefix.to_owned()));
                }
                Some(factor)
            }
            Decision::Free => (ceiling == Ceiling::Challenge).then_some(1),
        };
        (factor, ceiling)
    }

    fn send(&mut self, at: i64, country: usize, number: String, verify_percent: u64) {
        self.counters.sent(&number, at);
        self.sent[country].push_back(at);
        self.sent[5].push_back(at);
        if self.random.below(100) < verify_percent {
            let later = at + 10_000 + self.random.below_ms(80_000);
            self.put(later, Event::Verifies { number, sent_at: at });
        }
    }
}

/// How many of these times are within the span, forgetting the others.
fn within(times: &mut VecDeque<i64>, now: i64, span_ms: i64) -> u32 {
    while times.front().is_some_and(|oldest| *oldest <= now - span_ms) {
        times.pop_front();
    }
    u32::try_from(times.len()).unwrap_or(u32::MAX)
}

/// `SplitMix64` (Steele, Lea and Flood, 2014): small, and the same on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    fn index(&mut self, bound: usize) -> usize {
        usize::try_from(self.below(bound as u64)).unwrap_or(0)
    }

    fn below_ms(&mut self, bound: i64) -> i64 {
        i64::try_from(self.below(bound.unsigned_abs())).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attack(scenario: Scenario) -> Outcome {
        run(scenario, Attacker::SolvesNothing, 12, 0.05, GuardSettings::default())
    }

    /// The goals of each attack: how much goes out, and that honest people are served.
    fn check(scenario: Scenario, leaked: f64) -> Outcome {
        let outcome = attack(scenario);
        assert!(outcome.leaked() < leaked, "{} of {}", outcome.sent, outcome.tried);
        assert!(outcome.served() > 0.99, "{} of {}", outcome.got_code, outcome.honest);
        assert_eq!(outcome.refused, 0, "below the ceilings nobody is refused");
        outcome
    }

    #[test]
    fn honest_people_alone_are_never_challenged() {
        let outcome = attack(Scenario::Nobody);
        assert_eq!((outcome.challenged, outcome.refused), (0, 0));
        assert_eq!(outcome.got_code, outcome.honest);
    }

    #[test]
    fn less_than_a_hundredth_of_an_attack_on_one_range_goes_out_and_it_alone_is_held() {
        let outcome = check(Scenario::OneRange, 0.01);
        assert!(outcome.held.len() == 1 && outcome.held.iter().all(|prefix| prefix.len() == 8), "{outcome:?}");
    }

    #[test]
    fn less_than_a_twentieth_of_an_attack_on_twenty_ranges_goes_out() {
        check(Scenario::TwentyRanges, 0.05);
    }

    #[test]
    fn less_than_a_twentieth_of_a_slow_attack_goes_out() {
        check(Scenario::Slow, 0.05);
    }

    #[test]
    fn less_than_a_twentieth_of_an_attack_among_honest_people_goes_out() {
        check(Scenario::Mixed, 0.05);
    }

    #[test]
    fn less_than_a_twentieth_of_an_attack_by_who_verifies_a_tenth_goes_out() {
        check(Scenario::OwnTenth, 0.05);
    }

    #[test]
    fn who_solves_each_challenge_pays_more_and_more_and_ends_at_twice_the_ceiling() {
        let outcome = run(Scenario::OneRange, Attacker::Solves, 12, 0.05, GuardSettings::default());
        assert!(outcome.sent <= 2 * GuardSettings::default().ceiling_per_country.0);
        assert!(outcome.seconds_a_message(0.05) > 10.0 * 0.05, "{}", outcome.seconds_a_message(0.05));
    }

    #[test]
    fn the_same_seed_gives_the_same_outcome() {
        assert_eq!(attack(Scenario::OwnTenth), attack(Scenario::OwnTenth));
    }
}
