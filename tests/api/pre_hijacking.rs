//! The five ways of hijacking an account before its owner has it (Sudhodanan and Paverd 2022, USENIX Security), as far as
//! they apply where there are no identity providers: what proves an owner here is a code.

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    code_login::{PASSWORD, id, prove as prove_login, send},
    contacts::{add, call, login, prove, request},
};
use crate::support::{Backend, Options, TestApp, app::fresh_ip};

stories!(
    classic_federated_merge,
    unexpired_session,
    trojan_identifier,
    unexpired_email_change,
    non_verifying_identity_provider,
);

const VICTIM: &str = "vic@example.com";
const VICTIMS_PASSWORD: &str = "a horse of mine";
const STRANGERS: &str = "9876543219";

/// The victim signs up as anybody does.
async fn victim(app: &TestApp) -> Value {
    let victim = app.register(json!({"email": VICTIM, "password": VICTIMS_PASSWORD})).await;
    app.verify(&victim, &victim.otp).await.is(200)
}

/// The stranger's own account, with the victim's email beside it.
async fn stranger(app: &TestApp) -> Value {
    let stranger = app.register(json!({"mobile": STRANGERS, "email": VICTIM, "password": PASSWORD})).await;
    app.verify(&stranger, &stranger.otp).await.is(200)
}

async fn log_in_by_code(app: &TestApp, address: Value) -> Value {
    let sent = send(app, address).await.is(200);
    prove_login(app, json!({"verification_id": id(&sent), "otp": app.code(id(&sent), 1).await})).await.is(200)
}

async fn reset(app: &TestApp, new: &str) {
    let sent = app.post_from(&fresh_ip(), "/auth/forgot-password", json!({"email": VICTIM})).await.is(202);
    let otp = app.code(id(&sent), 1).await;
    let body = json!({"email": VICTIM, "verification_id": id(&sent), "otp": otp, "new_password": new});
    app.post_from(&fresh_ip(), "/auth/reset-password", body).await.is(204);
}

/// The stranger registers the victim's email with a password of their own, and waits until the victim comes by a surer
/// way. There, a provider's word merged the two; here the code does, and it makes an account of the victim's own: the
/// stranger's password, pending or kept by an account of theirs, opens nothing.
async fn classic_federated_merge(backend: Backend) {
    let app = TestApp::with(backend, Options::unlimited()).await;
    let pending = app.register(json!({"email": VICTIM, "password": PASSWORD})).await;
    let strangers = stranger(&app).await;
    let victims = victim(&app).await;
    assert_ne!(victims["user"]["id"], strangers["user"]["id"]);
    login(&app, json!({"email": VICTIM, "password": PASSWORD})).await.is_problem(401, "invalid_credentials");
    app.basic("/users/resend-code", VICTIM, PASSWORD, json!({})).await.is_problem(401, "invalid_credentials");
    app.verify(&pending, &pending.otp).await.is_problem(400, "invalid_code");
    // By a code, too, the victim comes to their own.
    assert_eq!(log_in_by_code(&app, json!({"email": VICTIM})).await["user"]["id"], victims["user"]["id"]);
}

/// The stranger holds a session of the victim's account and keeps it alive; the victim resets the password. There, the
/// session went on; here a reset ends all, renewed or not.
async fn unexpired_session(backend: Backend) {
    let app = TestApp::with(backend, Options::unlimited()).await;
    victim(&app).await;
    // However they came by it: the password was known, or the device was theirs.
    let held = login(&app, json!({"email": VICTIM, "password": VICTIMS_PASSWORD})).await.is(200);
    let held = app.post("/auth/refresh", json!({"refresh_token": held["refresh_token"]})).await.is(200);
    reset(&app, "a new horse").await;
    app.me(held["access_token"].as_str().unwrap()).await.is_problem(401, "invalid_token");
    app.post("/auth/refresh", json!({"refresh_token": held["refresh_token"]})).await.is_problem(401, "invalid_token");
    login(&app, json!({"email": VICTIM, "password": VICTIMS_PASSWORD})).await.is_problem(401, "invalid_credentials");
    // Before there is an account, no session of one can be had: a registration opens none.
    let body = json!({"email": "later@example.com", "password": PASSWORD});
    let pending = app.post_from(&fresh_ip(), "/auth/register", body.clone()).await.is(202);
    assert!(pending.get("access_token").is_none(), "{pending}");
    login(&app, body).await.is_problem(403, "account_not_activated");
}

/// The stranger adds an address of theirs to the victim's account, and comes in by it after the victim's recovery. Here
/// that recovery suspends it; and an account that the stranger made with the victim's email is not what is recovered.
async fn trojan_identifier(backend: Backend) {
    let app = TestApp::with(backend, Options::unlimited()).await;
    let strangers = stranger(&app).await;
    // To the email that it holds as a note goes nothing, so that nobody recovers an account of the stranger's.
    let sent = app.post_from(&fresh_ip(), "/auth/forgot-password", json!({"email": VICTIM})).await.is(202);
    app.outbox_is_empty().await;
    assert!(app.messages(id(&sent)).is_empty());
    let victims = victim(&app).await;
    let trojan = json!({"mobile": "9876543218"});
    add(&app, &victims, trojan.clone()).await;

    reset(&app, "a new horse").await;
    let sent = send(&app, trojan.clone()).await.is(200);
    let recovery = app.post_from(&fresh_ip(), "/auth/forgot-password", trojan).await.is(202);
    app.outbox_is_empty().await;
    assert!(app.messages(id(&sent)).is_empty() && app.messages(id(&recovery)).is_empty());
    let body = json!({"mobile": "9876543218", "password": "a new horse"});
    login(&app, body).await.is_problem(401, "invalid_credentials");
    let user = login(&app, json!({"email": VICTIM, "password": "a new horse"})).await.is(200)["user"].clone();
    assert_eq!((&user["id"], &user["mobile_verified"]), (&victims["user"]["id"], &json!(false)));
    let theirs = app.me(strangers["access_token"].as_str().unwrap()).await.is(200);
    assert_eq!(theirs["email_verified"], false, "and the note stays one");
}

/// The stranger asks for a change to an address of theirs, and proves it after the victim's recovery. Here the code dies
/// with the old password, for every session.
async fn unexpired_email_change(backend: Backend) {
    let app = TestApp::with(backend, Options::unlimited()).await;
    let held = victim(&app).await;
    let asked = request(&app, &held, json!({"email": "stranger@example.com"})).await.is(202);
    let otp = app.code(id(&asked), 1).await;
    reset(&app, "a new horse").await;
    prove(&app, &held, id(&asked), &otp).await.is_problem(401, "invalid_token");
    let victims = login(&app, json!({"email": VICTIM, "password": "a new horse"})).await.is(200);
    prove(&app, &victims, id(&asked), &otp).await.is_problem(400, "invalid_code");
    // Nor does one outlive a change of the password.
    let asked = request(&app, &victims, json!({"email": "stranger@example.com"})).await.is(202);
    let otp = app.code(id(&asked), 1).await;
    let body = json!({"current_password": "a new horse", "new_password": "a third horse"});
    call(&app, Method::POST, "/users/me/password", &victims, body).await.is(204);
    prove(&app, &victims, id(&asked), &otp).await.is_problem(400, "invalid_code");
    let me = app.me(victims["access_token"].as_str().unwrap()).await.is(200);
    assert_eq!((&me["email"], &me["email_verified"]), (&json!(VICTIM), &json!(true)));
}

/// A provider that proves nothing vouches for the victim's email. Here nothing but a code, or the operator, proves an
/// address; the one place that takes an address on somebody's word is the email beside a mobile at registration: it stays
/// unproven, opens nothing by a code, and keeps nobody from proving it.
async fn non_verifying_identity_provider(backend: Backend) {
    let app = TestApp::with(backend, Options::unlimited()).await;
    let strangers = stranger(&app).await;
    assert_eq!(strangers["user"]["email_verified"], false);
    let sent = send(&app, json!({"email": VICTIM})).await.is(200);
    app.outbox_is_empty().await;
    assert!(app.messages(id(&sent)).is_empty());
    // Asking for its code writes to the victim, who alone can tell it.
    let asked = request(&app, &strangers, json!({"email": VICTIM})).await.is(202);
    let victims = victim(&app).await;
    assert_eq!((&victims["user"]["email"], &victims["user"]["email_verified"]), (&json!(VICTIM), &json!(true)));
    // It is the victim's from here on, whatever the stranger does.
    let otp = app.code(id(&asked), 1).await;
    prove(&app, &strangers, id(&asked), &otp).await.is_problem(409, "account_exists");
    request(&app, &strangers, json!({"email": VICTIM})).await.is_problem(409, "account_exists");
    login(&app, json!({"email": VICTIM, "password": PASSWORD})).await.is_problem(401, "invalid_credentials");
    assert_eq!(log_in_by_code(&app, json!({"email": VICTIM})).await["user"]["id"], victims["user"]["id"]);
}
