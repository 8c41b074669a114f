//! Measurements of the node, for Prometheus: every name and every label in one place.
//!
//! Names and units follow Prometheus' conventions. Every label has a bounded set of values: a route is its pattern, a
//! country two letters, and an address is in none.

use std::{sync::OnceLock, time::Duration};

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

const REQUESTS: &str = "enroll_http_requests_total";
const REQUEST_DURATION: &str = "enroll_http_request_duration_seconds";
const HASHES_QUEUED: &str = "enroll_password_hashes_queued";
const HASH_WAIT: &str = "enroll_password_hash_wait_seconds";
const CONNECTIONS: &str = "enroll_database_connections";
const CODES: &str = "enroll_codes_total";
const DELIVERIES: &str = "enroll_deliveries_total";
const DELIVERY_DURATION: &str = "enroll_delivery_duration_seconds";
const SEGMENTS: &str = "enroll_delivery_segments_total";
const OUTBOX: &str = "enroll_outbox_messages";
const OUTBOX_AGE: &str = "enroll_outbox_oldest_seconds";
const EVENTS: &str = "enroll_events_waiting";
const EVENTS_AGE: &str = "enroll_events_oldest_seconds";
const PUBLISHED: &str = "enroll_events_published_total";
const LIMITS: &str = "enroll_limits_exceeded_total";
const CHALLENGES: &str = "enroll_challenges_total";
const PREFIXES_HELD: &str = "enroll_abuse_prefixes_held";
const CEILINGS: &str = "enroll_abuse_beyond_ceiling_total";
const TEST_IDENTITIES: &str = "enroll_test_identities";
const DEPENDENCY_UP: &str = "enroll_dependency_up";
const BUILD: &str = "enroll_build_info";

const BUCKETS: [f64; 12] = [0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// One for the process: the recorder that every call below writes to.
static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();

fn install() -> PrometheusHandle {
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &BUCKETS)
        .expect("there are buckets");
    let handle = builder.install_recorder().expect("nobody else installs a recorder");
    describe();
    gauge!(BUILD, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    handle
}

/// Begins to measure; before it the calls below do nothing.
pub fn start() {
    RECORDER.get_or_init(install);
}

/// Everything measured, in Prometheus' text format.
pub fn render() -> String {
    upkeep();
    RECORDER.get().map(PrometheusHandle::render).unwrap_or_default()
}

/// Folds what histograms have collected, which otherwise grows until somebody scrapes.
pub fn upkeep() {
    if let Some(recorder) = RECORDER.get() {
        recorder.run_upkeep();
    }
}

fn describe() {
    describe_counter!(REQUESTS, "HTTP requests by method, route and status");
    describe_histogram!(REQUEST_DURATION, Unit::Seconds, "Time to the response, by method and route");
    describe_gauge!(HASHES_QUEUED, "Passwords that wait to be hashed, or are being hashed");
    describe_histogram!(HASH_WAIT, Unit::Seconds, "Time that a password waited before its hash began");
    describe_gauge!(CONNECTIONS, "Connections to the database: in use, and the most that there may be");
    describe_counter!(CODES, "Codes by purpose, channel and outcome (issued, verified, wrong, refused)");
    describe_counter!(DELIVERIES, "Tries to hand a message to a provider, by country and outcome");
    describe_histogram!(DELIVERY_DURATION, Unit::Seconds, "Time that a provider took to answer for a message");
    describe_counter!(SEGMENTS, "Text messages as networks count and bill them");
    describe_gauge!(OUTBOX, "Messages that wait to be sent");
    describe_gauge!(OUTBOX_AGE, Unit::Seconds, "Time for which the most overdue message has been due");
    describe_gauge!(EVENTS, "Events that wait to be published, by sink");
    describe_gauge!(EVENTS_AGE, Unit::Seconds, "Time for which the oldest event has waited, by sink");
    describe_counter!(PUBLISHED, "Events by sink and outcome (confirmed, unroutable, refused, unreachable, set_aside)");
    describe_counter!(LIMITS, "Requests refused by a limit, by its policy");
    describe_counter!(CHALLENGES, "Challenges before a code (asked, solved, wrong)");
    describe_gauge!(PREFIXES_HELD, "Prefixes of mobile numbers whose messages need a challenge");
    describe_counter!(CEILINGS, "Messages asked for beyond a ceiling, by country, or `all` for the ceiling over all");
    describe_gauge!(TEST_IDENTITIES, "Addresses whose code is known beforehand, of those whose last day is not over");
    describe_gauge!(DEPENDENCY_UP, "Whether the last check of a dependency found it well");
    describe_gauge!(BUILD, "The version that runs");
}

/// A request was answered; `route` is its pattern.
pub fn request(method: &'static str, route: &str, status: u16, took: Duration) {
    let labels = [("method", method.to_owned()), ("route", route.to_owned())];
    histogram!(REQUEST_DURATION, &labels).record(took);
    let [method, route] = labels;
    counter!(REQUESTS, &[method, route, ("status", status.to_string())]).increment(1);
}

/// The passwords that wait to be hashed, or are being hashed.
pub fn hashes_queued(length: usize) {
    gauge!(HASHES_QUEUED).set(number(length));
}

/// A hash begins after this wait.
pub fn hash_begins(waited: Duration) {
    histogram!(HASH_WAIT).record(waited);
}

/// The connections in use, and the most that there may be.
pub fn connections(in_use: usize, most: usize) {
    gauge!(CONNECTIONS, "state" => "in_use").set(number(in_use));
    gauge!(CONNECTIONS, "state" => "most").set(number(most));
}

/// A code was `issued`, `verified`, `wrong` or `refused`.
pub fn code(purpose: &'static str, channel: &'static str, outcome: &'static str) {
    counter!(CODES, "purpose" => purpose, "channel" => channel, "outcome" => outcome).increment(1);
}

/// A provider `accepted` the message, `refused` it for good, or `failed`.
pub fn delivery(provider: &'static str, country: &str, outcome: &'static str, took: Duration) {
    counter!(DELIVERIES, "provider" => provider, "country" => country.to_owned(), "outcome" => outcome).increment(1);
    histogram!(DELIVERY_DURATION, "provider" => provider).record(took);
}

/// A text message went as so many segments.
pub fn segments(provider: &'static str, country: &str, count: usize) {
    let count = u64::try_from(count).unwrap_or_default();
    counter!(SEGMENTS, "provider" => provider, "country" => country.to_owned()).increment(count);
}

/// The messages that wait, and for how long the first has been due.
pub fn outbox(waiting: usize, overdue: Duration) {
    gauge!(OUTBOX).set(number(waiting));
    gauge!(OUTBOX_AGE).set(overdue.as_secs_f64());
}

/// The events that wait for a sink, and the age of the oldest.
pub fn events(sink: &'static str, waiting: usize, age: Duration) {
    gauge!(EVENTS, "sink" => sink).set(number(waiting));
    gauge!(EVENTS_AGE, "sink" => sink).set(age.as_secs_f64());
}

/// An event was `confirmed`, `unroutable`, `refused`, `unreachable` or `set_aside`.
pub fn published(sink: &'static str, outcome: &'static str) {
    counter!(PUBLISHED, "sink" => sink, "outcome" => outcome).increment(1);
}

/// A request was refused by a limit.
pub fn limit_exceeded(policy: &'static str) {
    counter!(LIMITS, "policy" => policy).increment(1);
}

/// A challenge was `asked` for, `solved`, or its solution `wrong`.
pub fn challenge(outcome: &'static str) {
    counter!(CHALLENGES, "outcome" => outcome).increment(1);
}

/// The prefixes that are held.
pub fn prefixes_held(count: usize) {
    gauge!(PREFIXES_HELD).set(number(count));
}

/// A message was asked for beyond the ceiling of a country, or of `all`.
pub fn ceiling_reached(region: &str) {
    counter!(CEILINGS, "region" => region.to_owned()).increment(1);
}

/// The addresses whose code is known beforehand.
pub fn test_identities(live: usize) {
    gauge!(TEST_IDENTITIES).set(number(live));
}

/// What a check of a dependency found.
pub fn dependency(name: String, is_up: bool) {
    gauge!(DEPENDENCY_UP, "dependency" => name).set(if is_up { 1.0 } else { 0.0 });
}

fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
