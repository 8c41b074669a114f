//! Numbers are given to new people: an account that was not used for long is not opened by a code to its mobile alone.

use serde_json::{Value, json};

use super::code_login::{PASSWORD, id, prove, send};
use crate::support::{Answer, Backend, Options, TestApp, app::fresh_ip};

stories!(
    a_dormant_account_keeps_out_who_has_its_number,
    the_number_goes_to_a_new_account,
    an_account_with_its_number_alone_is_opened,
    the_number_alone_resets_no_password,
);

const DAY: u64 = 86_400;

fn unlimited() -> Options {
    Options::unlimited().with("ENROLL__REGISTRATIONS__PASSWORD", "optional")
}

/// An account with a proven mobile and email, and a login id.
async fn ann(app: &TestApp) -> Value {
    let body = json!({"mobile": "9876543210", "login_id": "ann.1", "password": PASSWORD});
    let ann = app.register(body).await;
    let opened = app.verify(&ann, &ann.otp).await.is(200);
    super::contacts::add(app, &opened, json!({"email": "ann@example.com"})).await;
    opened
}

async fn code(app: &TestApp, body: Value) -> Value {
    let sent = send(app, body).await.is(200);
    json!({"verification_id": id(&sent), "otp": app.code(id(&sent), 1).await})
}

async fn by_mobile(app: &TestApp) -> Answer {
    let code = code(app, json!({"mobile": "9876543210"})).await;
    prove(app, code).await
}

async fn a_dormant_account_keeps_out_who_has_its_number(backend: Backend) {
    let app = TestApp::with(backend, unlimited()).await;
    let opened = ann(&app).await;
    app.advance(179 * DAY);
    by_mobile(&app).await.is(200);
    // Each session begins the time anew.
    app.advance(179 * DAY);
    by_mobile(&app).await.is(200);
    app.advance(181 * DAY);
    let right = code(&app, json!({"mobile": "9876543210"})).await;
    let refused = prove(&app, right.clone()).await.is_problem(403, "reauthentication_required");
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.contains("password") && detail.contains("a***@example.com") && !detail.contains("ann@"), "{detail}");
    let by_register = code(&app, json!({"mobile": "9876543210", "register": true})).await;
    prove(&app, by_register.clone()).await.is_problem(403, "reauthentication_required");
    // The other ways are open, and the code stayed good.
    let by_email = code(&app, json!({"email": "ann@example.com"})).await;
    assert_eq!(prove(&app, by_email).await.is(200)["user"]["id"], opened["user"]["id"]);
    assert_eq!(prove(&app, by_register).await.is(200)["is_new"], false);
    // With the login id beside it, it is not the number alone.
    app.advance(181 * DAY);
    let officers = code(&app, json!({"login_id": "ann.1", "mobile": "9876543210"})).await;
    prove(&app, officers).await.is(200);

    let app = TestApp::with(backend, unlimited().with("ENROLL__REGISTRATIONS__DORMANT", 0)).await;
    ann(&app).await;
    app.advance(1_000 * DAY);
    by_mobile(&app).await.is(200);
}

async fn the_number_goes_to_a_new_account(backend: Backend) {
    let app = TestApp::with(backend, unlimited()).await;
    let old = ann(&app).await;
    app.advance(181 * DAY);
    let mut right = code(&app, json!({"mobile": "9876543210", "register": true, "name": "Bob"})).await;
    prove(&app, right.clone()).await.is_problem(403, "reauthentication_required");
    right["new_account"] = true.into();
    let new = prove(&app, right.clone()).await.is(200);
    assert_eq!((&new["is_new"], &new["user"]["name"]), (&json!(true), &json!("Bob")));
    assert_ne!(new["user"]["id"], old["user"]["id"]);
    assert_eq!(new["user"]["mobile"], "+919876543210");
    prove(&app, right).await.is_problem(401, "invalid_code");
    // The old one has lost the number and nothing else, and its other address is told.
    let by_email = code(&app, json!({"email": "ann@example.com"})).await;
    let owner = prove(&app, by_email).await.is(200);
    assert_eq!(owner["user"]["id"], old["user"]["id"]);
    assert_eq!((&owner["user"]["mobile"], &owner["user"]["mobile_verified"]), (&Value::Null, &json!(false)));
    let told = app.application.inbox.as_ref().unwrap().messages(Some("ann@example.com"));
    assert_eq!(told.iter().filter(|message| message.purpose == "contact_was_removed").count(), 1);
    app.post_from(&fresh_ip(), "/auth/login", json!({"login_id": "ann.1", "password": PASSWORD})).await.is(200);
    // Where it isn't dormant, it is a login as ever.
    let mut again = code(&app, json!({"mobile": "9876543210"})).await;
    again["new_account"] = true.into();
    assert_eq!(prove(&app, again).await.is(200)["is_new"], false);

    let closed = app.restart_with("ENROLL__REGISTRATIONS__OPEN", false).await;
    let app = closed;
    app.advance(181 * DAY);
    app.import("mobile,login_id,password_hash\n9876543299,old.1,$2b$04$abcdefghijklmnopqrstuuFMM5xVnW2aeClrk8gqLKqB8mJBZ5oGm\n").await;
    app.advance(181 * DAY);
    let mut of_old = code(&app, json!({"mobile": "9876543299"})).await;
    of_old["new_account"] = "yes".into();
    prove(&app, of_old.clone()).await.is_invalid(&[("new_account", "invalid")]);
    of_old["new_account"] = true.into();
    prove(&app, of_old).await.is_problem(403, "registration_closed");
}

async fn an_account_with_its_number_alone_is_opened(backend: Backend) {
    let app = TestApp::with(backend, unlimited()).await;
    let opened = super::code_alone::sign_in_or_up(&app, json!({"mobile": "9876543210"})).await;
    app.advance(400 * DAY);
    let again = by_mobile(&app).await.is(200);
    assert_eq!((&again["user"]["id"], &again["is_new"]), (&opened["user"]["id"], &json!(false)));
    // By email there is no such doubt.
    let eve = app.register(json!({"email": "eve@example.com", "password": PASSWORD})).await;
    app.verify(&eve, &eve.otp).await.is(200);
    app.advance(400 * DAY);
    let by_email = code(&app, json!({"email": "eve@example.com"})).await;
    prove(&app, by_email).await.is(200);
    // Imported today: that it was not used for long elsewhere says nothing here.
    let app = TestApp::with(backend, unlimited()).await;
    app.import("mobile,email,created_at\n9876543211,bob@example.com,2020-01-01T00:00:00Z\n").await;
    let imported = code(&app, json!({"mobile": "9876543211"})).await;
    prove(&app, imported).await.is(200);
}

async fn the_number_alone_resets_no_password(backend: Backend) {
    let app = TestApp::with(backend, unlimited()).await;
    ann(&app).await;
    app.advance(181 * DAY);
    let reset = async |address: Value| {
        let sent = app.post_from(&fresh_ip(), "/auth/forgot-password", address.clone()).await.is(202);
        let mut body = address;
        body["otp"] = app.code(id(&sent), 1).await.into();
        body["verification_id"] = id(&sent).into();
        body["new_password"] = "a new horse".into();
        app.post_from(&fresh_ip(), "/auth/reset-password", body).await
    };
    reset(json!({"mobile": "9876543210"})).await.is_problem(403, "reauthentication_required");
    reset(json!({"email": "ann@example.com"})).await.is(204);
}
