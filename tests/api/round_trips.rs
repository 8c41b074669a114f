//! How often a call waits for PostgreSQL and for Redis across a network.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{
    Answer, Backend, Options, TestApp,
    app::fresh_ip,
    backend::{Database, postgres_url, redis_url},
    forwarder::Forwarder,
};

/// The way to a server and back; all else that a call does takes less, at least once.
const ROUND_TRIP: Duration = Duration::from_millis(60);

/// A forwarder to the server of a URL, and the URL through it.
async fn forwarded(url: &str) -> (Forwarder, String) {
    let mut url = reqwest::Url::parse(url).unwrap();
    let forwarder = Forwarder::to(url.port().unwrap()).await;
    url.set_port(Some(forwarder.port)).unwrap();
    (forwarder, url.into())
}

/// The answer of a call, and how many ways to the far server and back it took.
async fn timed(app: &TestApp, path: &str, body: Value) -> (Answer, u128) {
    let started = Instant::now();
    let answer = app.post_from(&fresh_ip(), path, body).await;
    (answer, started.elapsed().as_millis() / ROUND_TRIP.as_millis())
}

/// The round trips of register, resend, verify, login and refresh.
async fn round_trips(app: &TestApp, person: u32) -> [u128; 5] {
    let details = json!({"email": format!("ann{person}@example.com"), "password": "correct horse"});
    let (registered, register) = timed(app, "/auth/register", details.clone()).await;
    let pending = app.pending(details.clone(), &registered.is(202)).await;
    let id = &pending.verification_id;
    let (again, resend) = timed(app, "/auth/resend-otp", json!({"verification_id": id})).await;
    again.is(200);
    let otp = app.code(id, 2).await;
    app.outbox_is_empty().await;
    let (verified, verify) = timed(app, "/auth/verify-otp", json!({"verification_id": id, "otp": otp})).await;
    verified.is(200);
    let (opened, login) = timed(app, "/auth/login", details).await;
    let token = opened.is(200)["refresh_token"].clone();
    let (refreshed, refresh) = timed(app, "/auth/refresh", json!({"refresh_token": token})).await;
    refreshed.is(200);
    [register, resend, verify, login, refresh]
}

/// The fewest of some people, or of the first of them who met no more than expected: the first use of a statement
/// and what else the machine does only add some.
async fn fewest(far: &Forwarder, app: &TestApp, mut people: Range<u32>, expected: [u128; 5]) -> [u128; 5] {
    far.delay(ROUND_TRIP);
    let mut fewest = [u128::MAX; 5];
    while fewest.iter().zip(expected).any(|(met, expected)| *met > expected)
        && let Some(person) = people.next()
    {
        let met = round_trips(app, person).await;
        fewest = std::array::from_fn(|call| fewest[call].min(met[call]));
    }
    far.delay(Duration::ZERO);
    fewest
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_waits_for_a_far_server_a_few_times() {
    let database = Database::create_on(&postgres_url()).await;
    let (postgres, database_url) = forwarded(&database.url).await;
    let (redis, redis_url) = forwarded(&redis_url()).await;
    let options = Options::default()
        .with("DATABASE_URL", database_url)
        .with("REDIS_URL", redis_url)
        .with("ENROLL__DATABASE__MAX_CONNECTIONS", 8)
        .with("ENROLL__CODES__RESEND_AFTER", 0);
    let app = TestApp::with(Backend::Embedded, options).await;
    let [register, resend, verify, login, refresh] = fewest(&postgres, &app, 0..40, [3, 3, 3, 2, 1]).await;
    assert_eq!([register, resend, verify, login, refresh], [3, 3, 3, 2, 1], "to PostgreSQL");
    // Not a login's: with its hash, six come as late as seven.
    let [register, resend, verify, _, refresh] = fewest(&redis, &app, 40..80, [3, 2, 1, u128::MAX, 0]).await;
    assert_eq!([register, resend, verify, refresh], [3, 2, 1, 0], "to Redis");
}
