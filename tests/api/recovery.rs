//! Forgotten passwords.

use reqwest::Method;
use serde_json::{Value, json};

use super::code_login::{PASSWORD, account, id, prove, send};
use crate::support::{Answer, Backend, Options, TestApp, app::fresh_ip, app::other_than};

stories!(
    a_code_sets_a_new_password_and_ends_all_else,
    unknown_accounts_answer_like_known_ones,
    a_password_is_judged_before_and_after_the_code,
    a_login_raced_with_a_reset_leaves_no_session,
    a_reset_forgives_the_wrong_passwords,
);

async fn forgot(app: &TestApp, body: Value) -> Answer {
    app.post_from(&fresh_ip(), "/auth/forgot-password", body).await
}

async fn reset(app: &TestApp, body: Value) -> Answer {
    app.post_from(&fresh_ip(), "/auth/reset-password", body).await
}

async fn a_code_sets_a_new_password_and_ends_all_else(backend: Backend) {
    let app = TestApp::with(backend, Options::unlimited()).await;
    let ann = account(&app).await;
    let token = ann["access_token"].as_str().unwrap();
    let change = app.request(Method::POST, "/users/me/contacts").bearer_auth(token);
    let change = app.send(change.json(&json!({"email": "new@example.com"}))).await.is(202);
    let login = send(&app, json!({"mobile": "9876543210"})).await.is(200);

    let first = forgot(&app, json!({"mobile": "9876543210"})).await.is(202);
    assert_eq!((&first["status"], &first["verification"]["purpose"]), (&json!("success"), &json!("password_reset")));
    assert_eq!(first["verification"]["expires_in"], 600);
    let second = forgot(&app, json!({"mobile": "9876543210"})).await.is(202);
    let otp = app.code(id(&first), 1).await;
    let (of_change, of_login) = (app.code(id(&change), 1).await, app.code(id(&login), 1).await);
    let of_second = app.code(id(&second), 1).await;

    let wrong = json!({"mobile": "9876543210", "otp": other_than(&otp), "verification_id": id(&first), "new_password": "a new horse"});
    reset(&app, wrong).await.is_problem(400, "invalid_code");
    let right =
        json!({"mobile": "9876543210", "otp": otp, "verification_id": id(&first), "new_password": "a new horse"});
    reset(&app, right.clone()).await.is(204);
    reset(&app, right).await.is_problem(400, "invalid_code");

    // Every session, every live code and the pending contact change are over; the owner is told.
    app.me(token).await.is_problem(401, "invalid_token");
    app.post("/auth/refresh", json!({"refresh_token": ann["refresh_token"]})).await.is_problem(401, "invalid_token");
    prove(&app, json!({"verification_id": id(&login), "otp": of_login})).await.is_problem(401, "invalid_code");
    let again = json!({"mobile": "9876543210", "otp": of_second, "verification_id": id(&second), "new_password": "a third horse"});
    reset(&app, again).await.is_problem(400, "invalid_code");
    let by = |password: &str| json!({"login_id": "ann.1", "password": password});
    app.post_from(&fresh_ip(), "/auth/login", by(PASSWORD)).await.is_problem(401, "invalid_credentials");
    let opened = app.post_from(&fresh_ip(), "/auth/login", by("a new horse")).await.is(200);
    let proof = json!({"verification_id": id(&change), "otp": of_change});
    let request =
        app.request(Method::POST, "/users/me/contacts/verify").bearer_auth(opened["access_token"].as_str().unwrap());
    app.send(request.json(&proof)).await.is_problem(400, "invalid_code");
    app.outbox_is_empty().await;
    let inbox = app.application.inbox.as_ref().unwrap().messages(Some("+919876543210"));
    assert!(inbox.iter().any(|message| message.purpose == "password_was_reset" && message.otp.is_none()));
}

async fn unknown_accounts_answer_like_known_ones(backend: Backend) {
    let app = TestApp::start(backend).await;
    account(&app).await;
    let mut answers = Vec::new();
    for mobile in ["9876543210", "9876543299"] {
        let mut answer = forgot(&app, json!({"mobile": mobile})).await.is(202);
        let guess = json!({"mobile": mobile, "otp": "000000", "new_password": "a new horse"});
        if mobile.ends_with("99") || app.code(id(&answer), 1).await != "000000" {
            reset(&app, guess).await.is_problem(400, "invalid_code");
        }
        answer["verification"]["verification_id"] = Value::Null;
        answer["verification"]["destination"] = Value::Null;
        answers.push(answer);
    }
    assert_eq!(answers[0], answers[1]);
    forgot(&app, json!({"login_id": "ann.1"})).await.is_invalid(&[("mobile", "required")]);
    forgot(&app, json!({"mobile": "9876543210"})).await.is_problem(429, "too_many_requests");
}

async fn a_password_is_judged_before_and_after_the_code(backend: Backend) {
    let app = TestApp::start(backend).await;
    account(&app).await;
    let sent = forgot(&app, json!({"mobile": "9876543210"})).await.is(202);
    let otp = app.code(id(&sent), 1).await;
    let with = |password: &str| json!({"mobile": "9876543210", "otp": otp, "verification_id": id(&sent), "new_password": password});
    // The form, the blocklist and the address in the request, before the code: whatever that is.
    for (password, code) in [("short", "too_short"), ("password1", "common_password"), ("9876543210", "own_identifier")]
    {
        let mut body = with(password);
        body["otp"] = other_than(&otp).into();
        for _ in 0..3 {
            reset(&app, body.clone()).await.is_invalid(&[("new_password", code)]);
        }
    }
    // The account's other names after it, and the code stays good.
    reset(&app, with("Ann@example.com")).await.is_invalid(&[("new_password", "own_identifier")]);
    let told = app.get(&format!("/auth/verifications/{}", id(&sent))).await.is(200);
    assert_eq!(told["attempts_left"], 5, "nothing counted");
    reset(&app, with("a new horse")).await.is(204);
    reset(&app, json!({"otp": otp, "verification_id": id(&sent), "new_password": "a new horse"}))
        .await
        .is_invalid(&[("mobile", "required")]);
}

async fn a_login_raced_with_a_reset_leaves_no_session(backend: Backend) {
    let app = TestApp::with(backend, Options::unlimited()).await;
    account(&app).await;
    let mut password = PASSWORD.to_owned();
    for round in 0..10 {
        let sent = forgot(&app, json!({"mobile": "9876543210"})).await.is(202);
        let otp = app.code(id(&sent), 1).await;
        let new = format!("horse number {round}");
        let body = json!({"mobile": "9876543210", "otp": otp, "verification_id": id(&sent), "new_password": new});
        let old = json!({"login_id": "ann.1", "password": password});
        let logins = (0..4).map(|_| app.post_from("192.0.2.1", "/auth/login", old.clone()));
        let (done, logins) = tokio::join!(reset(&app, body), futures_util::future::join_all(logins));
        done.is(204);
        for login in logins {
            let Ok(opened) = serde_json::from_str::<Value>(&login.text) else { continue };
            if let Some(token) = opened["access_token"].as_str() {
                app.me(token).await.is_problem(401, "invalid_token");
                app.post("/auth/refresh", json!({"refresh_token": opened["refresh_token"]}))
                    .await
                    .is_problem(401, "invalid_token");
            }
        }
        password = new;
    }
}

async fn a_reset_forgives_the_wrong_passwords(backend: Backend) {
    let app = TestApp::start(backend).await;
    account(&app).await;
    let login = async |password: &str| {
        let body = json!({"mobile": "9876543210", "password": password});
        app.post_from(&fresh_ip(), "/auth/login", body).await
    };
    for _ in 0..10 {
        login("a wrong horse").await.is_problem(401, "invalid_credentials");
    }
    login(PASSWORD).await.is_problem(429, "too_many_attempts");
    let sent = forgot(&app, json!({"mobile": "9876543210"})).await.is(202);
    let otp = app.code(id(&sent), 1).await;
    let body = json!({"mobile": "9876543210", "otp": otp, "verification_id": id(&sent), "new_password": "a new horse"});
    reset(&app, body).await.is(204);
    login("a new horse").await.is(200);
}
