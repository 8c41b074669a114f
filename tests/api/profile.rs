//! Changes of people's own accounts.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Backend, Options, TestApp, app::fresh_ip};

stories!(a_profile_is_changed_field_by_field, a_password_change_ends_the_other_sessions, wrong_current_passwords_are_counted,
    of_eight_password_changes_at_once_one_wins,
    a_clock_that_was_put_back_delays_no_code);

async fn account(app: &TestApp) -> Value {
    let ann = app.register(json!({"mobile": "9876543210", "password": "correct horse", "name": "Ann"})).await;
    app.verify(&ann, &ann.otp).await.is(200)
}

async fn call(app: &TestApp, method: Method, path: &str, tokens: &Value, body: Value) -> Answer {
    let token = tokens["access_token"].as_str().unwrap();
    app.send(app.request(method, path).bearer_auth(token).json(&body)).await
}

async fn a_profile_is_changed_field_by_field(backend: Backend) {
    let app = TestApp::start(backend).await;
    let ann = account(&app).await;
    let patch = async |body: Value| call(&app, Method::PATCH, "/users/me", &ann, body).await;
    app.advance(5);
    let changed = patch(json!({"locale": "hi-in", "id": "mine", "email_verified": true})).await.is(200);
    assert_eq!((&changed["name"], &changed["locale"]), (&json!("Ann"), &json!("hi-IN")));
    assert_eq!((&changed["id"], &changed["email_verified"]), (&ann["user"]["id"], &json!(false)));
    assert_ne!(changed["updated_at"], ann["user"]["updated_at"]);
    let cleared = patch(json!({"name": null})).await.is(200);
    assert_eq!((&cleared["name"], &cleared["locale"]), (&Value::Null, &json!("hi-IN")));
    patch(json!({"name": " ", "locale": 7})).await.is_invalid(&[("name", "too_short"), ("locale", "invalid")]);
    assert_eq!(app.me(ann["access_token"].as_str().unwrap()).await.is(200), cleared);
}

async fn a_password_change_ends_the_other_sessions(backend: Backend) {
    let app = TestApp::start(backend).await;
    let first = account(&app).await;
    let login =
        async |password: &str| app.post("/auth/login", json!({"mobile": "9876543210", "password": password})).await;
    let second = login("correct horse").await.is(200);
    let change = async |tokens: &Value, body: Value| call(&app, Method::POST, "/users/me/password", tokens, body).await;
    change(&second, json!({"new_password": "better horse"})).await.is_problem(403, "reauthentication_required");
    change(&second, json!({"current_password": "wrong horse", "new_password": "better horse"}))
        .await
        .is_problem(403, "wrong_password");
    change(&second, json!({"current_password": "correct horse", "new_password": "short"}))
        .await
        .is_invalid(&[("new_password", "too_short")]);
    for (new, code) in [("Password1", "common_password"), ("+91 98765 43210", "own_identifier")] {
        change(&second, json!({"current_password": "correct horse", "new_password": new}))
            .await
            .is_invalid(&[("new_password", code)]);
    }
    change(&second, json!({"current_password": "correct horse", "new_password": "better horse"})).await.is(204);
    app.me(second["access_token"].as_str().unwrap()).await.is(200);
    app.post("/auth/refresh", json!({"refresh_token": second["refresh_token"]})).await.is(200);
    app.me(first["access_token"].as_str().unwrap()).await.is_problem(401, "invalid_token");
    login("correct horse").await.is_problem(401, "invalid_credentials");
    login("better horse").await.is(200);
}

async fn wrong_current_passwords_are_counted(backend: Backend) {
    let app = TestApp::start(backend).await;
    let ann = account(&app).await;
    let change = async |body: Value| call(&app, Method::POST, "/users/me/password", &ann, body).await;
    for n in 0..10 {
        change(json!({"current_password": format!("wrong {n}"), "new_password": "better horse"}))
            .await
            .is_problem(403, "wrong_password");
    }
    change(json!({"current_password": "correct horse", "new_password": "better horse"}))
        .await
        .is_problem(429, "too_many_attempts");
    // Those calls alone are closed; and a session that a code opened just now needs no password.
    app.post("/auth/login", json!({"mobile": "9876543210", "password": "correct horse"})).await.is(200);
    change(json!({"new_password": "better horse"})).await.is(204);
    app.advance(300);
    change(json!({"new_password": "best horse"})).await.is_problem(403, "reauthentication_required");
}

async fn of_eight_password_changes_at_once_one_wins(backend: Backend) {
    let app = TestApp::start(backend).await;
    let ann = account(&app).await;
    let changes = futures_util::future::join_all((0..8).map(|n| {
        let body = json!({"current_password": "correct horse", "new_password": format!("better horse {n}")});
        call(&app, Method::POST, "/users/me/password", &ann, body)
    }));
    let mut wins = 0;
    for answer in changes.await {
        match answer.status {
            204 => wins += 1,
            _ => drop(answer.is_problem(403, "wrong_password")),
        }
    }
    assert_eq!(wins, 1, "an account that changed meanwhile is no overload");
}

/// The clock of a node is put back a day after a code went out: the next one waits no longer than ever.
async fn a_clock_that_was_put_back_delays_no_code(backend: Backend) {
    let app = TestApp::with(backend, Options::default()).await;
    app.advance(86_400);
    let ann = app.register(json!({"mobile": "9876543210", "password": "correct horse"})).await;
    app.clock.put_back(std::time::Duration::from_hours(24));
    let resend = async || {
        let body = json!({"verification_id": ann.verification_id});
        app.post_from(&fresh_ip(), "/auth/resend-otp", body).await
    };
    let refused = resend().await;
    let after: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!(after <= 30, "{after}");
    refused.is_problem(429, "too_many_requests");
    app.advance(31);
    let sent = resend().await.is(200);
    assert!(sent["verification"]["resend_in"].as_u64().unwrap() <= 30, "{sent}");
    let otp = app.code(&ann.verification_id, 2).await;
    app.verify(&ann, &otp).await.is(200);
}
