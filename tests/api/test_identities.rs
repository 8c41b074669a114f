//! Addresses whose code is known beforehand.

use enroll::domain::{Clock as _, SystemClock};
use serde_json::json;

use crate::support::{Backend, Options, TestApp, app::fresh_ip, servers::free_port};

stories!(
    without a pooler:
    a_test_identity_gets_in_by_its_code,
    guesses_at_a_test_identity_are_counted,
    a_test_identity_ends_with_its_day,
    no_claims_are_given_to_a_test_identity,
    metrics_count_those_whose_day_is_not_over,
);

fn day(days: i64) -> String {
    let at = time::OffsetDateTime::from(SystemClock.now()) + time::Duration::days(days);
    at.date().to_string()
}

fn options(days: i64) -> Options {
    Options::default()
        .with("ENROLL__TEST_IDENTITIES", format!("+91 98765 43210=314159@{0}, review@example.com=271828@{0}", day(days)))
}

async fn a_test_identity_gets_in_by_its_code(backend: Backend) {
    let app = TestApp::with(backend, options(30)).await;
    let ip = fresh_ip();
    let person = json!({"mobile": "9876543210", "password": "correct horse"});
    let answer = app.post_from(&ip, "/auth/register", person.clone()).await.is(202);
    let id = answer["verification"]["verification_id"].clone();
    app.post_from(&ip, "/auth/verify-otp", json!({"verification_id": id, "otp": "314159"})).await.is(200);
    // Sends to the address are not limited, those of the client are.
    for _ in 0..4 {
        let sent = app.post_from(&ip, "/auth/send-otp", json!({"mobile": "9876543210"})).await.is(200);
        assert_eq!((&sent["verification"]["code_length"], &sent["verification"]["resend_in"]), (&json!(6), &json!(0)));
    }
    app.post_from(&ip, "/auth/send-otp", json!({"mobile": "9876543210"})).await.is_problem(429, "too_many_requests");
    let login = json!({"mobile": "9876543210", "purpose": "login", "otp": "314159"});
    app.post_from(&ip, "/auth/verify-otp", login).await.is(200);
    for _ in 0..12 {
        app.post_from(&fresh_ip(), "/auth/forgot-password", json!({"mobile": "9876543210"})).await.is(202);
    }
    let reset = json!({"mobile": "9876543210", "otp": "314159", "new_password": "a better horse"});
    app.post_from(&ip, "/auth/reset-password", reset).await.is(204);
    // The length of its code is that of every purpose.
    let email = json!({"email": "review@example.com", "password": "correct horse"});
    let answer = app.post_from(&fresh_ip(), "/auth/register", email).await.is(202);
    assert_eq!(answer["verification"]["code_length"], 6);
    let id = answer["verification"]["verification_id"].clone();
    app.outbox_is_empty().await;
    app.post_from(&fresh_ip(), "/auth/verify-otp", json!({"verification_id": id, "otp": "271828"})).await.is(200);
    assert_eq!(app.application.inbox.as_ref().unwrap().messages(None).len(), 0, "no message of any kind goes out");
}

async fn guesses_at_a_test_identity_are_counted(backend: Backend) {
    let app = TestApp::with(backend, options(30)).await;
    let mut refused = 0;
    for _ in 0..5 {
        let body = json!({"mobile": "9876543210", "password": "correct horse"});
        app.advance(31);
        let answer = app.post_from(&fresh_ip(), "/auth/register", body).await.is(202);
        let id = answer["verification"]["verification_id"].clone();
        for _ in 0..4 {
            let guess = json!({"verification_id": id, "otp": "000000"});
            refused += u32::from(app.post_from(&fresh_ip(), "/auth/verify-otp", guess).await.status == 429);
        }
    }
    assert_eq!(refused, 10, "after ten no new code gives one more");
}

async fn a_test_identity_ends_with_its_day(backend: Backend) {
    let app = TestApp::with(backend, options(2)).await;
    app.advance(3 * 86_400);
    let ann = app.register(json!({"mobile": "9876543210", "password": "correct horse"})).await;
    app.verify(&ann, "314159").await.is_problem(400, "invalid_code");
    app.verify(&ann, &ann.otp).await.is(200);
}

async fn no_claims_are_given_to_a_test_identity(backend: Backend) {
    let app = TestApp::with(backend, options(30)).await;
    let claims = r#"{"role":"admin"}"#;
    let create = async |address: &str| {
        app.command(&["users", "create", "--email", address, "--claims", claims]).await
    };
    let (_, errors, code) = create("review@example.com").await;
    assert!(code == 1 && errors.contains("test identity"), "{errors}");
    let (_, errors, code) = create("ann@example.com").await;
    assert_eq!(code, 0, "{errors}");
    let (_, errors, code) = app.command(&["users", "create", "--email", "review@example.com"]).await;
    assert_eq!(code, 0, "{errors}");
    let (_, errors, code) = app.command(&["users", "set", "review@example.com", "--claims", claims]).await;
    assert!(code == 1 && errors.contains("test identity"), "{errors}");
}

async fn metrics_count_those_whose_day_is_not_over(backend: Backend) {
    let admin = format!("127.0.0.1:{}", free_port());
    let identities = format!("9876543210=314159@{}, review@example.com=271828@{}", day(3), day(30));
    let options = Options::default().with("ENROLL__TEST_IDENTITIES", identities).with("ENROLL__ADMIN__ADDRESS", &admin);
    let app = TestApp::with(backend, options).await;
    let counted = async || {
        let scraped = reqwest::get(format!("http://{admin}/metrics")).await.unwrap().text().await.unwrap();
        let line = scraped.lines().find(|line| line.starts_with("enroll_test_identities ")).map(str::to_owned);
        line.unwrap_or_else(|| panic!("{scraped}"))
    };
    assert_eq!(counted().await, "enroll_test_identities 2");
    app.advance(4 * 86_400);
    assert_eq!(counted().await, "enroll_test_identities 1");
}
