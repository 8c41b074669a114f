//! Removing one's email or mobile.

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    code_login::{PASSWORD, account, id, prove as prove_login, send},
    contacts::{add, call, login, notices, prove, request},
};
use crate::support::{Answer, Backend, Options, TestApp, secrets::logged_events};

stories!(
    a_contact_is_removed_and_what_was_asked_for_before_is_dead,
    the_only_proven_contact_stays,
    an_unproven_contact_always_goes,
    a_removal_needs_the_password_or_a_fresh_code,
    of_two_removals_at_once_one_is_refused,
    a_camel_case_client_removes_a_contact,
);

async fn remove(app: &TestApp, tokens: &Value, contact: &str, body: Value) -> Answer {
    call(app, Method::DELETE, &format!("/users/me/contacts/{contact}"), tokens, body).await
}

fn with_password() -> Value {
    json!({"current_password": PASSWORD})
}

async fn a_contact_is_removed_and_what_was_asked_for_before_is_dead(backend: Backend) {
    let app = TestApp::with(backend, Options::unlimited()).await;
    let ann = account(&app).await;
    add(&app, &ann, json!({"email": "new@example.com"})).await;
    let by_password = login(&app, json!({"login_id": "ann.1", "password": PASSWORD})).await.is(200);
    let asked = request(&app, &ann, json!({"email": "other@example.com"})).await.is(202);
    let sent = send(&app, json!({"mobile": "9876543210"})).await.is(200);
    let (of_change, of_login) = (app.code(id(&asked), 1).await, app.code(id(&sent), 1).await);

    let user = remove(&app, &by_password, "mobile", with_password()).await.is(200);
    assert_eq!((&user["mobile"], &user["mobile_verified"]), (&Value::Null, &json!(false)));
    assert_eq!((&user["email"], &user["email_verified"]), (&json!("new@example.com"), &json!(true)));
    app.outbox_is_empty().await;
    assert_eq!(notices(&app, "+919876543210")[0], "contact_was_removed", "it is told");
    assert!(!notices(&app, "new@example.com").contains(&"contact_was_removed"));
    // Sessions live on, codes do not, and the number is anybody's.
    for tokens in [&ann, &by_password] {
        app.me(tokens["access_token"].as_str().unwrap()).await.is(200);
    }
    app.post("/auth/refresh", json!({"refresh_token": ann["refresh_token"]})).await.is(200);
    prove(&app, &ann, id(&asked), &of_change).await.is_problem(400, "invalid_code");
    let code = json!({"verification_id": id(&sent), "otp": of_login});
    prove_login(&app, code).await.is_problem(401, "invalid_code");
    login(&app, json!({"mobile": "9876543210", "password": PASSWORD})).await.is_problem(401, "invalid_credentials");
    let bob = app.register(json!({"mobile": "9876543210", "password": "another horse"})).await;
    app.verify(&bob, &bob.otp).await.is(200);

    // The owner finds it in the export; other programs are told.
    let export = call(&app, Method::GET, "/users/me/export", &by_password, json!({})).await.is(200);
    assert_eq!(export["user"]["mobile"], Value::Null);
    let line = export["audit"].as_array().unwrap().iter().find(|line| line["kind"] == "contact_removed").unwrap();
    assert_eq!((&line["outcome"], &line["destination"]), (&json!("sms"), &json!("+91******3210")));
    let is_told = || {
        let of_ann = |data: &Value| data["user_id"] == ann["user"]["id"] && data["change"] == "removed";
        logged_events().iter().any(|(kind, data)| kind == "contact.changed" && of_ann(data) && data["channel"] == "sms")
    };
    let started = std::time::Instant::now();
    while !is_told() {
        assert!(started.elapsed().as_secs() < 10, "no event tells of it");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

async fn the_only_proven_contact_stays(backend: Backend) {
    let app = TestApp::with(backend, Options::unlimited()).await;
    let ann = account(&app).await;
    remove(&app, &ann, "mobile", with_password()).await.is_problem(409, "last_contact");
    add(&app, &ann, json!({"email": "new@example.com"})).await;
    remove(&app, &ann, "mobile", with_password()).await.is(200);
    remove(&app, &ann, "email", with_password()).await.is_problem(409, "last_contact");
    let me = app.me(ann["access_token"].as_str().unwrap()).await.is(200);
    assert_eq!((&me["email"], &me["email_verified"]), (&json!("new@example.com"), &json!(true)));
}

async fn an_unproven_contact_always_goes(backend: Backend) {
    let app = TestApp::start(backend).await;
    let ann = account(&app).await;
    let user = remove(&app, &ann, "email", with_password()).await.is(200);
    assert_eq!((&user["email"], &user["email_verified"]), (&Value::Null, &json!(false)));
    app.outbox_is_empty().await;
    assert_eq!(notices(&app, "ann@example.com"), ["contact_was_removed"]);
    // Where there is none any more, nothing happens.
    assert_eq!(remove(&app, &ann, "email", with_password()).await.is(200), user);
    app.outbox_is_empty().await;
    assert_eq!(notices(&app, "ann@example.com").len(), 1);
    remove(&app, &ann, "login_id", with_password()).await.is_problem(404, "not_found");
}

async fn a_removal_needs_the_password_or_a_fresh_code(backend: Backend) {
    let app = TestApp::with(backend, Options::unlimited()).await;
    let ann = account(&app).await;
    let by_password = login(&app, json!({"login_id": "ann.1", "password": PASSWORD})).await.is(200);
    remove(&app, &by_password, "email", json!({})).await.is_problem(403, "reauthentication_required");
    let wrong = json!({"current_password": "wrong horse"});
    remove(&app, &by_password, "email", wrong.clone()).await.is_problem(403, "wrong_password");
    remove(&app, &ann, "email", wrong).await.is_problem(403, "wrong_password");
    remove(&app, &ann, "email", json!({"current_password": 12})).await.is_invalid(&[("current_password", "invalid")]);
    // The code of the registration opened this session a moment ago; no body is needed.
    app.advance(299);
    let token = ann["access_token"].as_str().unwrap();
    app.send(app.request(Method::DELETE, "/users/me/contacts/email").bearer_auth(token)).await.is(200);
    app.advance(1);
    remove(&app, &ann, "email", json!({})).await.is_problem(403, "reauthentication_required");
    app.send(app.request(Method::DELETE, "/users/me/contacts/email")).await.is_problem(401, "missing_token");
}

async fn of_two_removals_at_once_one_is_refused(backend: Backend) {
    let app = TestApp::with(backend, Options::unlimited()).await;
    let ann = account(&app).await;
    for round in 0..5 {
        add(&app, &ann, json!({"email": format!("ann{round}@example.com"), "current_password": PASSWORD})).await;
        let mobile = json!({"mobile": "9876543210", "current_password": PASSWORD});
        if round > 0 && app.me(ann["access_token"].as_str().unwrap()).await.is(200)["mobile"].is_null() {
            add(&app, &ann, mobile).await;
        }
        let (email, mobile) = tokio::join!(
            remove(&app, &ann, "email", with_password()),
            remove(&app, &ann, "mobile", with_password()),
        );
        let mut statuses = [email.status, mobile.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409], "{email:?} {mobile:?}");
        let me = app.me(ann["access_token"].as_str().unwrap()).await.is(200);
        assert!(me["email_verified"] != me["mobile_verified"], "{me}");
    }
}

async fn a_camel_case_client_removes_a_contact(backend: Backend) {
    let app = TestApp::with(backend, Options::default().with("ENROLL__SERVER__CAMEL_PREFIXES", "/api")).await;
    let ann = account(&app).await;
    let request = app.http.delete(format!("{}/api/users/me/contacts/email", app.base));
    let request = request.bearer_auth(ann["access_token"].as_str().unwrap());
    let user = app.send(request.json(&json!({"currentPassword": PASSWORD}))).await.is(200);
    assert_eq!((&user["email"], &user["emailVerified"]), (&Value::Null, &json!(false)));
    assert_eq!(user["mobileNumber"], "9876543210");
}
