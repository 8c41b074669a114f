//! Where accounts are concealed, nothing tells who has one: each call is made for an address with an account and for
//! one without, and what comes back is compared.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Backend, Options, TestApp, app::fresh_ip};

stories!(
    registering_over_an_account_is_like_registering,
    the_owner_is_told_once_an_hour_and_keeps_the_account,
    recovery_and_logins_answer_alike,
    a_contact_that_another_has_is_asked_for_alike,
    a_taken_email_beside_ones_own_mobile_is_held_unproven,
    a_registration_that_another_ends_goes_on_alike,
);

fn concealed() -> Options {
    Options::default().with("ENROLL__PRIVACY__CONCEAL_ACCOUNTS", true)
}

const OWNER: &str = "9876543210";
const NOBODY: &str = "9811122233";

/// An account, whose owner got in long ago.
async fn with_account(backend: Backend) -> TestApp {
    let app = TestApp::with(backend, concealed()).await;
    let ann = app.register(json!({"mobile": OWNER, "password": "correct horse"})).await;
    app.verify(&ann, &ann.otp).await.is(200);
    app.advance(90_000);
    app
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for name in ["user_id", "verification_id", "request_id", "destination", "changed_at"] {
                if let Some(field) = fields.get_mut(name) {
                    *field = json!(field.is_string());
                }
            }
            fields.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

/// Without what differs between any two requests: ids, and the address itself.
pub fn shape(answer: &Answer) -> (u16, Vec<String>, Value) {
    let mut body: Value = serde_json::from_str(&answer.text).unwrap_or_default();
    strip(&mut body);
    let mut headers: Vec<String> = answer.headers.keys().map(ToString::to_string).collect();
    headers.sort();
    (answer.status, headers, body)
}

/// Makes the same steps for both addresses, and compares each answer.
async fn alike<F: Future<Output = Vec<Answer>>>(steps: impl Fn(&'static str) -> F) {
    let (of_owner, of_nobody) = (steps(OWNER).await, steps(NOBODY).await);
    assert_eq!(of_owner.len(), of_nobody.len());
    for (step, (owner, nobody)) in of_owner.iter().zip(&of_nobody).enumerate() {
        assert_eq!(shape(owner), shape(nobody), "step {step}");
    }
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

async fn registering_over_an_account_is_like_registering(backend: Backend) {
    let app = with_account(backend).await;
    let app = &app;
    app.clock.stop(); // seconds are compared
    alike(|mobile| async move {
        let ip = fresh_ip();
        let mut seen = Vec::new();
        let body = json!({"mobile": mobile, "password": "a stranger's horse"});
        let first = app.post_from(&ip, "/auth/register", body.clone()).await;
        let registered: Value = first.clone().is(202);
        let id = text(&registered["verification"]["verification_id"]);
        seen.push(first);
        let again = app.post_from(&ip, "/auth/register", body.clone()).await;
        let twice = again.clone().is(202);
        assert_eq!((&twice["user_id"], &twice["verification"]["verification_id"]), (&registered["user_id"], &json!(id)));
        seen.push(again);
        app.outbox_is_empty().await;
        seen.push(app.get(&format!("/auth/verifications/{id}")).await);
        let other = json!({"mobile": mobile, "password": "another horse"});
        seen.push(app.post_from(&ip, "/auth/register", other).await);
        for otp in ["000000", "000001"] {
            seen.push(app.post_from(&ip, "/auth/verify-otp", json!({"verification_id": id, "otp": otp})).await);
        }
        seen.push(app.post_from(&ip, "/auth/verify-otp", json!({"mobile": mobile, "otp": "000002"})).await);
        seen.push(app.get(&format!("/auth/verifications/{id}")).await);
        let basic = async |path: &str, password: &str, body: Value| {
            let request = app.request(Method::POST, path).basic_auth(mobile, Some(password));
            app.send(request.header("x-forwarded-for", &ip).json(&body)).await
        };
        seen.push(basic("/users/activate", "a stranger's horse", json!({"otp": "000003"})).await);
        seen.push(basic("/users/activate", "no horse", json!({"otp": "000003"})).await);
        let login = |password: &str| json!({"mobile": mobile, "password": password});
        seen.push(app.post_from(&ip, "/auth/login", login("a stranger's horse")).await);
        seen.push(app.post_from(&ip, "/auth/login", login("no horse")).await);
        app.advance(40);
        let ip = fresh_ip();
        seen.push(app.post_from(&ip, "/auth/resend-otp", json!({"verification_id": id})).await);
        app.advance(40);
        seen.push(app.post_from(&ip, "/auth/resend-otp", json!({"mobile": mobile})).await);
        app.advance(40);
        let request = app.request(Method::POST, "/users/resend-code").basic_auth(mobile, Some("a stranger's horse"));
        seen.push(app.send(request.header("x-forwarded-for", fresh_ip())).await);
        app.advance(40);
        let renewed = app.post_from(&fresh_ip(), "/auth/register", body).await;
        assert_eq!(renewed.clone().is(202)["verification"]["verification_id"], json!(id));
        seen.push(renewed);
        for otp in 0..7 {
            let guess = json!({"verification_id": id, "otp": format!("00001{otp}")});
            seen.push(app.post_from(&fresh_ip(), "/auth/verify-otp", guess).await);
        }
        app.advance(301);
        seen.push(app.get(&format!("/auth/verifications/{id}")).await);
        seen.push(app.post_from(&fresh_ip(), "/auth/verify-otp", json!({"verification_id": id, "otp": "000000"})).await);
        app.advance(3_600);
        seen
    })
    .await;
}

async fn the_owner_is_told_once_an_hour_and_keeps_the_account(backend: Backend) {
    let app = with_account(backend).await;
    let sent = || app.application.inbox.as_ref().unwrap().messages(None).into_iter().filter(|message| message.otp.is_none()).count();
    for nth in 0..3 {
        let body = json!({"mobile": OWNER, "password": format!("a stranger's horse {nth}")});
        app.post_from(&fresh_ip(), "/auth/register", body).await.is(202);
        app.advance(31);
    }
    app.outbox_is_empty().await;
    assert_eq!(sent(), 1, "told once");
    app.advance(3_600);
    app.post_from(&fresh_ip(), "/auth/register", json!({"mobile": OWNER, "password": "one more horse"})).await.is(202);
    app.outbox_is_empty().await;
    assert_eq!(sent(), 2);
    let codes = app.application.inbox.as_ref().unwrap().messages(None).into_iter().filter(|message| message.otp.is_some());
    assert_eq!(codes.count(), 1, "the first of all: nobody got a code for it since");
    app.post_from(&fresh_ip(), "/auth/login", json!({"mobile": OWNER, "password": "correct horse"})).await.is(200);
}

async fn recovery_and_logins_answer_alike(backend: Backend) {
    let app = with_account(backend).await;
    let app = &app;
    app.clock.stop(); // seconds are compared
    alike(|mobile| async move {
        let ip = fresh_ip();
        let address = json!({"mobile": mobile});
        let mut seen = Vec::new();
        for path in ["/auth/send-otp", "/auth/forgot-password", "/auth/resend-otp"] {
            seen.push(app.post_from(&ip, path, address.clone()).await);
            seen.push(app.post_from(&ip, path, address.clone()).await);
        }
        let guess = json!({"mobile": mobile, "purpose": "login", "otp": "000000"});
        seen.push(app.post_from(&ip, "/auth/verify-otp", guess).await);
        let reset = json!({"mobile": mobile, "otp": "000000", "new_password": "a new horse"});
        seen.push(app.post_from(&ip, "/auth/reset-password", reset).await);
        for nth in 0..11 {
            let login = json!({"mobile": mobile, "password": format!("no horse {nth}")});
            seen.push(app.post_from(&fresh_ip(), "/auth/login", login).await);
        }
        seen
    })
    .await;
}

async fn a_contact_that_another_has_is_asked_for_alike(backend: Backend) {
    let app = with_account(backend).await;
    let bob = app.register(json!({"email": "bob@example.com", "password": "correct horse"})).await;
    let tokens = app.verify(&bob, &bob.otp).await.is(200);
    let (app, token) = (&app, text(&tokens["access_token"]));
    let token = &token;
    app.clock.stop(); // seconds are compared
    alike(|mobile| async move {
        let mut seen = Vec::new();
        let call = async |path: &str, body: Value| {
            let request = app.request(Method::POST, path).bearer_auth(token).header("x-forwarded-for", fresh_ip());
            app.send(request.json(&body)).await
        };
        let asked = call("/users/me/contacts", json!({"mobile": mobile, "current_password": "correct horse"})).await;
        let id = text(&asked.clone().is(202)["verification"]["verification_id"]);
        seen.push(asked);
        app.outbox_is_empty().await;
        seen.push(app.get(&format!("/auth/verifications/{id}")).await);
        for otp in 0..7 {
            let guess = json!({"verification_id": id, "otp": format!("00000{otp}")});
            seen.push(call("/users/me/contacts/verify", guess).await);
        }
        seen
    })
    .await;
    app.outbox_is_empty().await;
    let told = app.application.inbox.as_ref().unwrap().messages(Some("+919876543210"));
    assert!(told.iter().any(|message| message.body.contains("which has an account")), "the owner is told");
}

async fn a_taken_email_beside_ones_own_mobile_is_held_unproven(backend: Backend) {
    let app = TestApp::with(backend, concealed()).await;
    let ann = app.register(json!({"email": "ann@example.com", "login_id": "ann", "password": "correct horse"})).await;
    app.verify(&ann, &ann.otp).await.is(200);
    let body = json!({"mobile": NOBODY, "email": "ann@example.com", "password": "another horse"});
    let bob = app.register(body).await;
    let user = app.verify(&bob, &bob.otp).await.is(200)["user"].clone();
    assert_eq!((&user["mobile_verified"], &user["email"], &user["email_verified"]), (&json!(true), &json!("ann@example.com"), &json!(false)));
    app.advance(61);
    let login = async |password: &str| {
        app.post_from(&fresh_ip(), "/auth/login", json!({"email": "ann@example.com", "password": password})).await
    };
    login("correct horse").await.is(200);
    login("another horse").await.is_problem(401, "invalid_credentials");
    // A login id that is taken is told once the mobile is proven.
    let cid = app.register(json!({"mobile": "9811122244", "login_id": "ann", "password": "a third horse"})).await;
    let conflict = app.verify(&cid, &cid.otp).await.is_problem(409, "account_exists");
    assert_eq!(conflict["errors"][0]["field"], "login_id");
    // An unproven address opens nothing, and nobody is told that a registration waits.
    let dan = app.register(json!({"mobile": "9811122255", "email": "dan@example.com", "password": "a fourth horse"})).await;
    let pending = json!({"mobile": "9811122255", "password": "a fourth horse"});
    app.post_from(&fresh_ip(), "/auth/login", pending).await.is_problem(401, "invalid_credentials");
    app.verify(&dan, &dan.otp).await.is(200);
    let unproven = json!({"email": "dan@example.com", "password": "a fourth horse"});
    app.post_from(&fresh_ip(), "/auth/login", unproven).await.is_problem(401, "invalid_credentials");
}

/// A stranger registers an address beside its owner: what the stranger sees does not tell when the owner gets in.
async fn a_registration_that_another_ends_goes_on_alike(backend: Backend) {
    let app = TestApp::with(backend, concealed()).await;
    let stranger = app.register(json!({"mobile": OWNER, "password": "a stranger's horse"})).await;
    app.advance(31);
    let owner = app.register(json!({"mobile": OWNER, "password": "correct horse"})).await;
    app.verify(&owner, &owner.otp).await.is(200);
    let status = app.get(&format!("/auth/verifications/{}", stranger.verification_id)).await.is(200);
    assert_eq!((&status["state"], &status["attempts_left"]), (&json!("sent"), &json!(5)));
    for _ in 0..5 {
        app.verify(&stranger, "000000").await.is_problem(400, "invalid_code");
    }
    app.verify(&stranger, "000000").await.is_problem(429, "too_many_attempts");
}
