//! The budgets in `docs/security.md`, computed from the defaults: a default that changes asks for another page.

use super::{Settings, Sources};
use crate::domain::{CodePolicy, DAY_MS, Quota, RateLimit};

const HOUR_MS: i64 = 3_600_000;
/// The price of a message, in hundredths.
const PRICE: u64 = 5;
/// The ways by which strangers cause messages to an address with an account (login and recovery), and to another
/// (registration, a code alone, the contact of an account of their own).
const WAYS: (u64, u64) = (2, 3);

/// The most uses in a span, by all quotas together.
fn within(limit: &RateLimit, span: i64) -> u64 {
    let most = |quota: Quota| u64::from(quota.count) * (span.unsigned_abs().div_ceil(quota.millis.unsigned_abs()));
    limit.iter().map(most).min().unwrap()
}

fn per(quota: (u32, i64), span: i64) -> u64 {
    within(&RateLimit::of(Quota { count: quota.0, millis: quota.1 }), span)
}

fn settings() -> Settings {
    Settings::load(&Sources::default()).unwrap()
}

/// The attacks' budget in a span, for so many clients.
struct Budget {
    settings: Settings,
    clients: u64,
    span: i64,
}

impl Budget {
    /// Codes that the limits by client let out.
    fn codes(&self, with_puzzles: bool) -> u64 {
        let limit = &self.settings.limits.sends_per_client;
        let limit = if with_puzzles { RateLimit::of(limit.shortest().unwrap()) } else { limit.clone() };
        self.clients * within(&limit, self.span)
    }

    /// Text messages to numbers that no account has proven: what the ceilings leave of that.
    fn texts(&self, ceiling: (u32, i64), with_puzzles: bool) -> u64 {
        self.codes(with_puzzles).min(per(ceiling, self.span) * if with_puzzles { 2 } else { 1 })
    }

    fn wrong_codes(&self) -> u64 {
        self.clients * within(&self.settings.limits.wrong_tries_per_client, self.span)
    }

    /// Wrong codes of four digits: so many until the service takes six, and those that are under way then; again in
    /// each hour.
    fn wrong_short_codes(&self) -> u64 {
        let CodePolicy { tries, ttl, .. } = self.settings.codes.registration_email;
        let under_way = within(&self.settings.limits.sends_per_client, i64::try_from(ttl.as_millis()).unwrap());
        let limit = self.settings.limits.wrong_codes.unwrap();
        let until_longer = per((limit.count, limit.millis), self.span);
        let hours = self.span.unsigned_abs() / HOUR_MS.unsigned_abs();
        let by_length = until_longer + hours * self.clients * under_way * u64::from(tries);
        by_length.min(self.codes(false) * u64::from(tries)).min(self.wrong_codes())
    }
}

/// With a comma for the thousands, and two digits of what is below ten.
fn shown(number: f64) -> String {
    if number < 10.0 {
        let places = (0..18).find(|places| number * 10_f64.powi(*places) > 9.99).unwrap_or_default();
        let text = format!("{number:.*}", usize::try_from(places).unwrap());
        return if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text };
    }
    let digits = format!("{number:.0}");
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap()).collect();
    groups.join(",")
}

#[expect(clippy::cast_precision_loss, reason = "budgets are far below 2^53")]
fn row(name: &str, value: impl Fn(&Budget) -> u64, parts: u64) -> String {
    let cells = [(1, HOUR_MS), (1, DAY_MS), (10_000, HOUR_MS), (10_000, DAY_MS)].map(|(clients, span)| {
        let value = value(&Budget { settings: settings(), clients, span });
        shown(value as f64 / parts as f64)
    });
    format!("| {name} | {} |\n", cells.join(" | "))
}

fn holds(text: &str) {
    let page = include_str!("../../docs/security.md");
    let page_in_one_line = page.split_whitespace().collect::<Vec<_>>().join(" ");
    let found = page.contains(text) || page_in_one_line.contains(text);
    assert!(found, "docs/security.md must hold, by the default settings:\n{text}");
}

#[test]
fn the_budgets_of_clients_are_those_of_the_page() {
    let guard = settings().abuse.numbers;
    let codes = settings().codes;
    let (six, four) = (10_u64.pow(codes.login.digits), 10_u64.pow(codes.registration_email.digits));
    let (all, country) = (guard.ceiling, guard.ceiling_per_country);
    let rows = [
        row("codes asked for, no challenge solved", |budget| budget.codes(false), 1),
        row("codes asked for, each challenge solved", |budget| budget.codes(true), 1),
        row("of these, SMS to numbers without an account, no challenge solved", |budget| budget.texts(all, false), 1),
        row("what they cost", |budget| budget.texts(all, false) * PRICE, 100),
        row("of these, SMS to numbers without an account, each challenge solved", |budget| budget.texts(all, true), 1),
        row("what they cost", |budget| budget.texts(all, true) * PRICE, 100),
        row("to one country alone, each challenge solved", |budget| budget.texts(country, true), 1),
        row("wrong codes, over all addresses", Budget::wrong_codes, 1),
        row("codes of six digits guessed, on average", Budget::wrong_codes, six),
        row("codes of four digits guessed, on average", Budget::wrong_short_codes, four),
    ];
    holds(&rows.concat());
    holds(&format!("at 0.{PRICE:02} a message"));
}

#[test]
fn the_budgets_of_one_address_are_those_of_the_page() {
    let settings = settings();
    let sends = within(&settings.limits.sends_per_destination, DAY_MS);
    let (with, without) = (WAYS.0 * sends, WAYS.1 * sends);
    holds(&format!("{with} messages a day to an address with an account, {without} to another"));

    // Each code of a spent budget takes one more.
    let wrong = within(&settings.limits.wrong_tries_per_destination, DAY_MS) + sends;
    let policy = settings.codes.registration_email;
    let short = wrong.min(sends * u64::from(policy.tries));
    let (guesses, codes) = (WAYS.0 * wrong, 10_f64.powi(i32::try_from(settings.codes.login.digits).unwrap()));
    #[expect(clippy::cast_precision_loss, reason = "a few dozens")]
    let (a_day, a_year) = (guesses as f64 / codes, 365.25 * guesses as f64 / codes);
    let years = f64::ln(2.0) / a_year;
    holds(&format!("{guesses} wrong codes a day at an account"));
    holds(&format!("{} % a day, an even chance after {} years", shown(100.0 * a_day), shown(years)));
    #[expect(clippy::cast_precision_loss, reason = "a few dozens")]
    let short_odds = 100.0 * short as f64 / 10_f64.powi(i32::try_from(policy.digits).unwrap());
    holds(&format!("{short} a day, {} %", shown(short_odds)));

    let ten_thousand = Budget { settings, clients: 10_000, span: DAY_MS };
    #[expect(clippy::cast_precision_loss, reason = "some hundred thousands")]
    let accounts = (ten_thousand.wrong_codes() / guesses) as f64;
    holds(&format!("a service with {} accounts is not quite", shown(accounts)));
}
