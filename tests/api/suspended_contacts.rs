//! A contact that was added lately is suspended when its account is entered by another one.

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    code_login::{PASSWORD, id, prove as prove_login, send},
    contacts::{add, call, login, notices, prove, request},
};
use crate::support::{Answer, Backend, Options, TestApp, app::fresh_ip};

stories!(
    an_address_added_in_a_borrowed_session_goes_with_the_owners_reset,
    a_suspended_contact_is_kept_for_thirty_days_and_proven_again,
    a_password_replaced_without_the_current_one_suspends,
    what_is_older_or_proven_long_ago_is_not_suspended,
    a_first_password_suspends_nothing,
    what_was_done_is_told_ten_times_a_day,
);

const STRANGERS: &str = "9876543219";

/// An account by email, and its session.
async fn owner(app: &TestApp) -> Value {
    let ann = app.register(json!({"email": "ann@example.com", "password": PASSWORD})).await;
    app.verify(&ann, &ann.otp).await.is(200)
}

/// Sets the password by a code to this address.
async fn reset(app: &TestApp, address: Value, new: &str) {
    let sent = app.post_from(&fresh_ip(), "/auth/forgot-password", address.clone()).await.is(202);
    let mut body = address;
    body["otp"] = app.code(id(&sent), 1).await.into();
    body["verification_id"] = id(&sent).into();
    body["new_password"] = new.into();
    app.post_from(&fresh_ip(), "/auth/reset-password", body).await.is(204);
}

/// How many codes an address has got.
async fn codes(app: &TestApp, to: &str) -> usize {
    app.outbox_is_empty().await;
    let inbox = app.application.inbox.as_ref().unwrap().messages(Some(to));
    inbox.into_iter().filter(|message| message.otp.is_some()).count()
}

async fn log_in_by_code(app: &TestApp, address: Value) -> Answer {
    let sent = send(app, address).await.is(200);
    prove_login(app, json!({"verification_id": id(&sent), "otp": app.code(id(&sent), 1).await})).await
}

async fn an_address_added_in_a_borrowed_session_goes_with_the_owners_reset(backend: Backend) {
    let app = TestApp::with(backend, Options::unlimited()).await;
    let borrowed = owner(&app).await;
    // The stranger adds a number in the owner's session, and by it has a session of their own from then on.
    add(&app, &borrowed, json!({"mobile": STRANGERS})).await;
    let strangers = log_in_by_code(&app, json!({"mobile": STRANGERS})).await.is(200);
    let under_way = send(&app, json!({"mobile": STRANGERS})).await.is(200);
    let of_it = app.code(id(&under_way), 1).await;

    reset(&app, json!({"email": "ann@example.com"}), "a new horse").await;
    app.outbox_is_empty().await;
    for to in ["ann@example.com", "+919876543219"] {
        let told = notices(&app, to);
        assert!(told.contains(&"contact_was_suspended") && told.contains(&"password_was_reset"), "{to}: {told:?}");
    }
    // No session, no code, no password and no recovery opens the account to the stranger any more.
    app.me(strangers["access_token"].as_str().unwrap()).await.is_problem(401, "invalid_token");
    let code = json!({"verification_id": id(&under_way), "otp": of_it});
    prove_login(&app, code).await.is_problem(401, "invalid_code");
    let before = codes(&app, "+919876543219").await;
    send(&app, json!({"mobile": STRANGERS})).await.is(200);
    app.post_from(&fresh_ip(), "/auth/forgot-password", json!({"mobile": STRANGERS})).await.is(202);
    assert_eq!(codes(&app, "+919876543219").await, before, "nothing is sent");
    for password in [PASSWORD, "a new horse"] {
        let body = json!({"mobile": STRANGERS, "password": password});
        login(&app, body).await.is_problem(401, "invalid_credentials");
    }
    let body = json!({"email": "ann@example.com", "password": "a new horse"});
    let ann = login(&app, body).await.is(200);
    assert_eq!(
        (&ann["user"]["mobile"], &ann["user"]["mobile_verified"]),
        (&json!("+919876543219"), &json!(false)),
        "the owner sees it, as unproven"
    );
    let export = call(&app, Method::GET, "/users/me/export", &ann, json!({})).await.is(200);
    let lines = export["audit"].as_array().unwrap();
    assert!(lines.iter().any(|line| line["kind"] == "contact_suspended" && line["outcome"] == "sms"), "{export}");
    call(&app, Method::DELETE, "/users/me/contacts/mobile", &ann, json!({"current_password": "a new horse"}))
        .await
        .is(200);
}

async fn a_suspended_contact_is_kept_for_thirty_days_and_proven_again(backend: Backend) {
    let app = TestApp::with(backend, Options::unlimited()).await;
    add(&app, &owner(&app).await, json!({"mobile": STRANGERS})).await;
    reset(&app, json!({"email": "ann@example.com"}), "a new horse").await;
    let register = || app.post_from("192.0.2.7", "/auth/register", json!({"mobile": STRANGERS, "password": PASSWORD}));
    register().await.is_problem(409, "account_exists");
    let bob = app.register(json!({"email": "bob@example.com", "password": PASSWORD})).await;
    let bob = app.verify(&bob, &bob.otp).await.is(200);
    request(&app, &bob, json!({"mobile": STRANGERS})).await.is_problem(409, "account_exists");
    // An operator sees it, and no import gives it to another.
    let (shown, ..) = app.command(&["users", "show", "ann@example.com", "--json"]).await;
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert!(shown["mobile_suspended_until"].is_string() && shown["mobile_verified"] == false, "{shown}");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("mobile,login_id\n{STRANGERS},eve.1\n9811122233,new.1\n")).unwrap();
    let (_, errors, code) = app.command(&["users", "import", &file.path().display().to_string()]).await;
    assert!(code != 0 && errors.contains("line 2"), "{errors}");

    // It is the owner's to prove again.
    let by_password = json!({"email": "ann@example.com", "password": "a new horse"});
    let ann = login(&app, by_password.clone()).await.is(200);
    let user = add(&app, &ann, json!({"mobile": STRANGERS})).await;
    assert_eq!(user["mobile_verified"], true);
    log_in_by_code(&app, json!({"mobile": STRANGERS})).await.is(200);

    // Suspended once more, it is anybody's after thirty days.
    reset(&app, json!({"email": "ann@example.com"}), "a third horse").await;
    app.advance(30 * 86_400 - 1);
    register().await.is_problem(409, "account_exists");
    app.advance(1);
    let eve = app.register(json!({"mobile": STRANGERS, "password": "another horse"})).await;
    let eve = app.verify(&eve, &eve.otp).await.is(200);
    assert_eq!(eve["user"]["mobile_verified"], true);
    let ann = login(&app, json!({"email": "ann@example.com", "password": "a third horse"})).await.is(200);
    assert_eq!(ann["user"]["mobile_verified"], false);
    request(&app, &ann, json!({"mobile": STRANGERS})).await.is_problem(409, "account_exists");
}

async fn a_password_replaced_without_the_current_one_suspends(backend: Backend) {
    let app = TestApp::with(backend, Options::unlimited()).await;
    let borrowed = owner(&app).await;
    add(&app, &borrowed, json!({"mobile": STRANGERS})).await;
    let change = async |tokens: &Value, body: Value| {
        call(&app, Method::POST, "/users/me/password", tokens, body).await.is(204);
        let me = app.me(tokens["access_token"].as_str().unwrap()).await.is(200);
        (me["email_verified"] == true, me["mobile_verified"] == true)
    };
    // With the current one, nothing; by the younger address, nothing.
    let new = json!({"current_password": PASSWORD, "new_password": "a new horse"});
    assert_eq!(change(&borrowed, new).await, (true, true));
    let by_mobile = log_in_by_code(&app, json!({"mobile": STRANGERS})).await.is(200);
    assert_eq!(change(&by_mobile, json!({"new_password": "a strange horse"})).await, (true, true));
    let by_email = log_in_by_code(&app, json!({"email": "ann@example.com"})).await.is(200);
    assert_eq!(change(&by_email, json!({"new_password": "a third horse"})).await, (true, false));
    app.me(by_mobile["access_token"].as_str().unwrap()).await.is_problem(401, "invalid_token");
    app.outbox_is_empty().await;
    for to in ["ann@example.com", "+919876543219"] {
        let told = notices(&app, to);
        assert_eq!(told.iter().filter(|notice| **notice == "contact_was_suspended").count(), 1, "{to}: {told:?}");
        assert_eq!(told.iter().filter(|notice| **notice == "password_was_changed").count(), 3, "{to}: {told:?}");
    }
}

async fn what_is_older_or_proven_long_ago_is_not_suspended(backend: Backend) {
    let app = TestApp::with(backend, Options::unlimited()).await;
    let ann = owner(&app).await;
    add(&app, &ann, json!({"mobile": "9876543210"})).await;
    let state = async |password: &str| {
        let ann = login(&app, json!({"email": "ann@example.com", "password": password})).await.is(200);
        (ann["user"]["email_verified"] == true, ann["user"]["mobile_verified"] == true)
    };
    reset(&app, json!({"mobile": "9876543210"}), "a new horse").await;
    assert_eq!(state("a new horse").await, (true, true), "the email is older than the mobile");
    app.advance(30 * 86_400);
    reset(&app, json!({"email": "ann@example.com"}), "a third horse").await;
    assert_eq!(state("a third horse").await, (true, true), "the mobile was proven thirty days ago");
}

async fn a_first_password_suspends_nothing(backend: Backend) {
    let app = TestApp::with(backend, Options::unlimited()).await;
    app.import("login_id,mobile,email,name,locale\n,,ann@example.com,Ann,\n").await;
    let ann = log_in_by_code(&app, json!({"email": "ann@example.com"})).await.is(200);
    add(&app, &ann, json!({"mobile": "9876543210"})).await;
    call(&app, Method::POST, "/users/me/password", &ann, json!({"new_password": PASSWORD})).await.is(204);
    let me = app.me(ann["access_token"].as_str().unwrap()).await.is(200);
    assert_eq!((&me["email_verified"], &me["mobile_verified"]), (&json!(true), &json!(true)));
    // The second one does.
    reset(&app, json!({"email": "ann@example.com"}), "a new horse").await;
    let ann = login(&app, json!({"email": "ann@example.com", "password": "a new horse"})).await.is(200);
    assert_eq!(ann["user"]["mobile_verified"], false);
}

async fn what_was_done_is_told_ten_times_a_day(backend: Backend) {
    let app = TestApp::with(backend, Options::default().with("ENROLL__CODES__RESEND_AFTER", 0)).await;
    let ann = owner(&app).await;
    let change = async |from: usize| {
        let body = json!({
            "current_password": if from == 0 { PASSWORD.to_owned() } else { format!("horse number {from}") },
            "new_password": format!("horse number {}", from + 1),
        });
        call(&app, Method::POST, "/users/me/password", &ann, body).await.is(204);
    };
    for from in 0..12 {
        change(from).await;
    }
    app.outbox_is_empty().await;
    assert_eq!(notices(&app, "ann@example.com"), ["password_was_changed"; 10]);
    // They count in no code's limit, and another day tells anew.
    let asked = request(&app, &ann, json!({"mobile": "9876543210"})).await.is(202);
    let otp = app.code(id(&asked), 1).await;
    prove(&app, &ann, id(&asked), &otp).await.is(200);
    log_in_by_code(&app, json!({"email": "ann@example.com"})).await.is(200);
    app.advance(86_400);
    let body = json!({"email": "ann@example.com", "password": "horse number 12"});
    let fresh = login(&app, body).await.is(200);
    let body = json!({"current_password": "horse number 12", "new_password": "a new horse"});
    call(&app, Method::POST, "/users/me/password", &fresh, body).await.is(204);
    app.outbox_is_empty().await;
    let told = notices(&app, "ann@example.com");
    assert_eq!(told.iter().filter(|notice| **notice == "password_was_changed").count(), 11, "{told:?}");
}
