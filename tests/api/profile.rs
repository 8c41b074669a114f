//! What people change of their own account.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Backend, TestApp};

stories!(a_profile_is_changed_field_by_field, a_password_change_ends_the_other_sessions, wrong_current_passwords_are_counted);

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
