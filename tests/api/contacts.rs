//! Changing one's email and mobile, and leaving.

use reqwest::Method;
use serde_json::{Value, json};

use super::code_login::{PASSWORD, account, id, send};
use crate::support::{Answer, Backend, Options, TestApp, app::fresh_ip, app::other_than};

stories!(
    a_new_contact_counts_once_it_is_proven,
    asking_for_many_contacts_tells_the_owner_once_an_hour,
    a_contact_is_refused_that_another_has,
    an_address_proven_by_another_account_meanwhile_is_a_conflict,
    an_old_session_needs_the_password,
    a_contact_code_is_for_its_account_alone,
    a_deleted_account_leaves_nothing,
    deleting_needs_the_password_or_a_fresh_code,
    a_change_spares_what_runs_beside_it,
);

pub async fn call(app: &TestApp, method: Method, path: &str, tokens: &Value, body: Value) -> Answer {
    let request = app.request(method, path).header("x-forwarded-for", fresh_ip());
    app.send(request.bearer_auth(tokens["access_token"].as_str().unwrap()).json(&body)).await
}

pub async fn request(app: &TestApp, tokens: &Value, body: Value) -> Answer {
    call(app, Method::POST, "/users/me/contacts", tokens, body).await
}

pub async fn prove(app: &TestApp, tokens: &Value, id: &str, otp: &str) -> Answer {
    let body = json!({"verification_id": id, "otp": otp});
    call(app, Method::POST, "/users/me/contacts/verify", tokens, body).await
}

pub fn notices(app: &TestApp, to: &str) -> Vec<&'static str> {
    let inbox = app.application.inbox.as_ref().unwrap().messages(Some(to));
    inbox.into_iter().filter(|message| message.otp.is_none()).map(|message| message.purpose).collect()
}

pub async fn login(app: &TestApp, body: Value) -> Answer {
    app.post_from(&fresh_ip(), "/auth/login", body).await
}

async fn a_new_contact_counts_once_it_is_proven(backend: Backend) {
    let app = TestApp::start(backend).await;
    let ann = account(&app).await;
    let second = login(&app, json!({"login_id": "ann.1", "password": PASSWORD})).await.is(200);
    let asked = request(&app, &ann, json!({"mobile": "9876543219"})).await.is(202);
    assert_eq!(asked["verification"]["purpose"], "contact_change");
    assert_eq!(asked["verification"]["destination"], "+91******3219");
    let otp = app.code(id(&asked), 1).await;
    app.outbox_is_empty().await;
    assert_eq!(notices(&app, "+919876543210"), ["contact_change_requested"]);
    // Until then the old one stands.
    login(&app, json!({"mobile": "9876543219", "password": PASSWORD})).await.is_problem(401, "invalid_credentials");
    prove(&app, &ann, id(&asked), &other_than(&otp)).await.is_problem(400, "invalid_code");
    let user = prove(&app, &ann, id(&asked), &otp).await.is(200);
    assert_eq!((&user["mobile"], &user["mobile_verified"]), (&json!("+919876543219"), &json!(true)));
    prove(&app, &ann, id(&asked), &otp).await.is_problem(400, "invalid_code");
    app.outbox_is_empty().await;
    assert_eq!(notices(&app, "+919876543210"), ["contact_was_changed", "contact_change_requested"]);
    // All sessions live on; the old number is anybody's.
    app.me(second["access_token"].as_str().unwrap()).await.is(200);
    login(&app, json!({"mobile": "9876543219", "password": PASSWORD})).await.is(200);
    login(&app, json!({"mobile": "9876543210", "password": PASSWORD})).await.is_problem(401, "invalid_credentials");
    app.advance(60);
    app.register(json!({"mobile": "9876543210", "password": "another horse"})).await;

    // One's own unproven email is sent its code, and is spelled as it was typed.
    let asked = request(&app, &ann, json!({"email": "Ann@example.com", "current_password": PASSWORD})).await.is(202);
    let otp = app.code(id(&asked), 1).await;
    let user = prove(&app, &ann, id(&asked), &otp).await.is(200);
    assert_eq!((&user["email"], &user["email_verified"]), (&json!("Ann@example.com"), &json!(true)));
    request(&app, &ann, json!({"email": "ann@EXAMPLE.com"})).await.is_invalid(&[("email", "invalid")]);
    request(&app, &ann, json!({"email": "a@example.com", "mobile": "9876543218"}))
        .await
        .is_invalid(&[("email", "too_many_identifiers")]);
    request(&app, &ann, json!({})).await.is_invalid(&[("mobile", "required")]);
}

async fn asking_for_many_contacts_tells_the_owner_once_an_hour(backend: Backend) {
    let app = TestApp::start(backend).await;
    let ann = account(&app).await;
    for n in 11..25 {
        let body = json!({"mobile": format!("98765432{n}"), "current_password": PASSWORD});
        request(&app, &ann, body).await.is(202);
    }
    app.outbox_is_empty().await;
    assert_eq!(notices(&app, "+919876543210"), ["contact_change_requested"]);
    app.advance(3_600);
    let ann = login(&app, json!({"login_id": "ann.1", "password": PASSWORD})).await.is(200);
    let body = json!({"mobile": "9876543230", "current_password": PASSWORD});
    request(&app, &ann, body).await.is(202);
    app.outbox_is_empty().await;
    assert_eq!(notices(&app, "+919876543210").len(), 2);
}

/// Adds a contact, or replaces one, and proves it.
pub async fn add(app: &TestApp, tokens: &Value, contact: Value) -> Value {
    let asked = request(app, tokens, contact).await.is(202);
    let otp = app.code(id(&asked), 1).await;
    prove(app, tokens, id(&asked), &otp).await.is(200)
}

async fn a_contact_is_refused_that_another_has(backend: Backend) {
    let app = TestApp::start(backend).await;
    let ann = account(&app).await;
    let bob = app.register(json!({"mobile": "9876543211", "password": PASSWORD})).await;
    app.verify(&bob, &bob.otp).await.is(200);
    let from = |n: u8| {
        let request = app.request(Method::POST, "/users/me/contacts").header("x-forwarded-for", "192.0.2.77");
        let body = if n < 5 { json!({"mobile": "9876543211"}) } else { json!({"mobile": "9876543212"}) };
        request.bearer_auth(ann["access_token"].as_str().unwrap()).json(&body)
    };
    for n in 0..5 {
        let refused = app.send(from(n)).await.is_problem(409, "account_exists");
        assert_eq!(refused["errors"][0]["field"], "mobile");
    }
    // Each told who is registered, and counts as a send.
    app.send(from(5)).await.is_problem(429, "too_many_requests");
}

async fn an_address_proven_by_another_account_meanwhile_is_a_conflict(backend: Backend) {
    let app = TestApp::with(backend, Options::unlimited()).await;
    let ann = account(&app).await;
    let asked = request(&app, &ann, json!({"mobile": "9876543211"})).await.is(202);
    let otp = app.code(id(&asked), 1).await;
    let bob = app.register(json!({"mobile": "9876543211", "password": PASSWORD})).await;
    app.verify(&bob, &bob.otp).await.is(200);
    for _ in 0..2 {
        prove(&app, &ann, id(&asked), &otp).await.is_problem(409, "account_exists"); // and the code stays good
    }
    let me = app.me(ann["access_token"].as_str().unwrap()).await.is(200);
    assert_eq!(me["mobile"], "+919876543210");
}

async fn an_old_session_needs_the_password(backend: Backend) {
    let app = TestApp::start(backend).await;
    let ann = account(&app).await;
    app.advance(300);
    let mobile = || json!({"mobile": "9876543219"});
    request(&app, &ann, mobile()).await.is_problem(403, "reauthentication_required");
    let mut wrong = mobile();
    wrong["current_password"] = "wrong horse".into();
    request(&app, &ann, wrong).await.is_problem(403, "wrong_password");
    let mut right = mobile();
    right["current_password"] = PASSWORD.into();
    request(&app, &ann, right).await.is(202);
    // A young session opened by the password is enough here, and not to delete.
    app.advance(60);
    let young = login(&app, json!({"login_id": "ann.1", "password": PASSWORD})).await.is(200);
    request(&app, &young, json!({"email": "new@example.com"})).await.is(202);
    call(&app, Method::DELETE, "/users/me", &young, json!({})).await.is_problem(403, "reauthentication_required");
    // One that is given must be right.
    request(&app, &young, json!({"email": "b@example.com", "current_password": "x"}))
        .await
        .is_problem(403, "wrong_password");
}

async fn a_contact_code_is_for_its_account_alone(backend: Backend) {
    let app = TestApp::with(backend, Options::unlimited()).await;
    let ann = account(&app).await;
    let bob = app.register(json!({"mobile": "9876543211", "password": PASSWORD})).await;
    let bob = app.verify(&bob, &bob.otp).await.is(200);
    let asked = request(&app, &ann, json!({"email": "shared@example.com"})).await.is(202);
    let otp = app.code(id(&asked), 1).await;
    prove(&app, &bob, id(&asked), &otp).await.is_problem(400, "invalid_code");
    // Nor does it log anybody in, or register.
    let body = json!({"verification_id": id(&asked), "otp": otp});
    app.post("/auth/verify-otp", body).await.is_problem(400, "invalid_code");
    prove(&app, &ann, "nonsense", &otp).await.is_invalid(&[("verification_id", "invalid")]);
    // After one change, another that was asked for before is dead.
    let other = request(&app, &ann, json!({"email": "other@example.com"})).await.is(202);
    let of_other = app.code(id(&other), 1).await;
    prove(&app, &ann, id(&asked), &otp).await.is(200);
    prove(&app, &ann, id(&other), &of_other).await.is_problem(400, "invalid_code");
    let told = app.get(&format!("/auth/verifications/{}", id(&other))).await.is(200);
    assert_eq!(told["state"], "expired");
}

async fn a_deleted_account_leaves_nothing(backend: Backend) {
    let app = TestApp::with(backend, Options::unlimited()).await;
    let ann = account(&app).await;
    let sent = send(&app, json!({"mobile": "9876543210"})).await.is(200);
    let otp = app.code(id(&sent), 1).await;
    let asked = request(&app, &ann, json!({"email": "new@example.com"})).await.is(202);
    call(&app, Method::DELETE, "/users/me", &ann, json!({"current_password": PASSWORD})).await.is(204);
    app.me(ann["access_token"].as_str().unwrap()).await.is_problem(401, "invalid_token");
    app.post("/auth/refresh", json!({"refresh_token": ann["refresh_token"]})).await.is_problem(401, "invalid_token");
    let body = json!({"verification_id": id(&sent), "otp": otp, "purpose": "login"});
    app.post("/auth/verify-otp", body).await.is_problem(401, "invalid_code");
    for of in [&sent, &asked] {
        app.get(&format!("/auth/verifications/{}", id(of))).await.is_problem(404, "unknown_verification");
    }
    login(&app, json!({"login_id": "ann.1", "password": PASSWORD})).await.is_problem(401, "invalid_credentials");
    assert_eq!(
        app.rows_that_name(&["9876543210", "ann@example.com", "ann.1", "new@example.com"]).await,
        Vec::<String>::new()
    );
    // The names are anybody's again.
    account(&app).await;
}

async fn deleting_needs_the_password_or_a_fresh_code(backend: Backend) {
    let app = TestApp::with(backend, Options::unlimited()).await;
    let ann = account(&app).await;
    app.advance(300);
    let delete = async |body: Value| call(&app, Method::DELETE, "/users/me", &ann, body).await;
    delete(json!({})).await.is_problem(403, "reauthentication_required");
    delete(json!({"current_password": "wrong horse"})).await.is_problem(403, "wrong_password");
    delete(json!({"current_password": 12})).await.is_invalid(&[("current_password", "invalid")]);
    let sent = send(&app, json!({"mobile": "9876543210"})).await.is(200);
    let body = json!({"verification_id": id(&sent), "otp": app.code(id(&sent), 1).await});
    let fresh = app.post("/auth/verify-otp", body).await.is(200);
    let token = fresh["access_token"].as_str().unwrap();
    app.send(app.request(Method::DELETE, "/users/me").bearer_auth(token)).await.is(204);
    app.me(token).await.is_problem(401, "invalid_token");
}

async fn a_change_spares_what_runs_beside_it(backend: Backend) {
    let app = TestApp::with(backend, Options::unlimited()).await;
    let mut ann = account(&app).await;
    for round in 0..10 {
        let asked = request(&app, &ann, json!({"email": format!("ann{round}@example.com")})).await.is(202);
        let otp = app.code(id(&asked), 1).await;
        let by_password = json!({"login_id": "ann.1", "password": PASSWORD});
        let out = login(&app, by_password.clone()).await.is(200);
        let (changed, refreshed, opened, ended) = tokio::join!(
            prove(&app, &ann, id(&asked), &otp),
            app.post("/auth/refresh", json!({"refresh_token": ann["refresh_token"]})),
            login(&app, by_password),
            app.post("/auth/logout", json!({"refresh_token": out["refresh_token"]})),
        );
        changed.is(200);
        ended.is(204);
        let (refreshed, opened) = (refreshed.is(200), opened.is(200));
        for tokens in [&refreshed, &opened] {
            app.me(tokens["access_token"].as_str().unwrap()).await.is(200);
        }
        app.me(out["access_token"].as_str().unwrap()).await.is_problem(401, "invalid_token");
        ann = refreshed;
    }
}
