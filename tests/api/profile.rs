//! Changes of people's own accounts.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Backend, Options, TestApp, app::fresh_ip};

stories!(
    a_profile_is_changed_field_by_field,
    data_is_merged_and_bounded,
    patches_at_once_are_all_merged,
    a_password_change_ends_the_other_sessions,
    wrong_current_passwords_are_counted,
    of_eight_password_changes_at_once_one_wins,
    an_account_that_changes_all_the_time_is_told,
    a_clock_that_was_put_back_delays_no_code,
);

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

async fn data_is_merged_and_bounded(backend: Backend) {
    let app = TestApp::start(backend).await;
    let person = |data: Value| json!({"mobile": "9876543210", "password": "correct horse", "data": data});
    for wrong in [json!([]), json!("x"), json!({"a": "\0"}), json!({"a": [[[[[[[[1]]]]]]]]})] {
        app.post_from(&fresh_ip(), "/auth/register", person(wrong)).await.is_invalid(&[("data", "invalid")]);
    }
    let first = json!({"nick_name": "Annie", "lat": 12.971_598_723_456_79, "old": {"a": 1}});
    let pending = app.register(person(first)).await;
    let ann = app.verify(&pending, &pending.otp).await.is(200);
    assert_eq!(ann["user"]["data"]["nick_name"], "Annie");
    assert_eq!((&ann["user"]["claims"], &ann["user"]["data"]["old"]), (&json!({}), &json!({"a": 1})));
    let claims = ann["access_token"].as_str().unwrap().split('.').nth(1).unwrap();
    let claims = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, claims).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert!(claims.get("data").is_none() && claims.get("claims").is_none(), "{claims}");

    let patch = async |body: Value| call(&app, Method::PATCH, "/users/me", &ann, body).await;
    let changed = patch(json!({"data": {"old": {"a": null, "b": [null, 2]}, "nick_name": null}})).await.is(200);
    assert_eq!(changed["data"], json!({"lat": 12.971_598_723_456_79, "old": {"b": [null, 2]}}));
    assert_eq!(patch(json!({"name": "Ann"})).await.is(200)["data"], changed["data"], "absent is unchanged");
    let text = |length: usize| json!({"data": {"text": "x".repeat(length)}});
    patch(text(4_096)).await.is_invalid(&[("data", "too_long")]);
    let deep = json!({"data": {"old": {"b": {"c": {"d": {"e": {"f": {"g": {"h": {}}}}}}}}}});
    patch(deep).await.is_invalid(&[("data", "invalid")]);
    patch(json!({"data": 7, "name": 7})).await.is_invalid(&[("name", "invalid"), ("data", "invalid")]);
    let request = app.request(Method::PATCH, "/users/me").bearer_auth(ann["access_token"].as_str().unwrap());
    let beyond = request.header("content-type", "application/json").body(r#"{"data":{"a":[1e999]}}"#);
    app.send(beyond).await.is_invalid(&[("data", "invalid")]);
    assert_eq!(app.me(ann["access_token"].as_str().unwrap()).await.is(200)["data"], changed["data"]);
    let cleared = patch(json!({"data": null})).await.is(200);
    assert_eq!((&cleared["data"], &cleared["name"]), (&json!({}), &json!("Ann")));
    let export = call(&app, Method::GET, "/users/me/export", &ann, json!({})).await.is(200);
    assert_eq!(export["user"]["data"], json!({}));
    // Whoever registers again means the new details.
    let again = app.register(json!({"mobile": "9876543211", "password": "correct horse", "data": {"a": 1}})).await;
    app.advance(31);
    let newer = json!({"mobile": "9876543211", "password": "correct horse", "data": {"b": 2}});
    app.post_from(&fresh_ip(), "/auth/register", newer).await.is(202);
    let opened = app.verify(&again, &app.code(&again.verification_id, 2).await).await.is(200);
    assert_eq!(opened["user"]["data"], json!({"b": 2}));
}

async fn patches_at_once_are_all_merged(backend: Backend) {
    let app = TestApp::start(backend).await;
    let ann = account(&app).await;
    let login = json!({"mobile": "9876543210", "password": "correct horse"});
    let other = app.post_from(&fresh_ip(), "/auth/login", login).await.is(200);
    let patches = futures_util::future::join_all((0..8).map(|n| {
        let session = if n % 2 == 0 { &ann } else { &other };
        call(&app, Method::PATCH, "/users/me", session, json!({"data": {format!("n{n}"): n}}))
    }));
    for answer in patches.await {
        answer.is(200);
    }
    let data = &app.me(ann["access_token"].as_str().unwrap()).await.is(200)["data"];
    assert_eq!(data.as_object().unwrap().len(), 8, "{data}");
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
async fn an_account_that_changes_all_the_time_is_told(backend: Backend) {
    let app = TestApp::start(backend).await;
    let ann = account(&app).await;
    // From here on the database finds the account changed, whenever it is written.
    if backend == Backend::Embedded {
        app.execute_sql("CREATE TRIGGER t BEFORE UPDATE OF password_hash, email ON users BEGIN SELECT RAISE(IGNORE); END").await;
        app.execute_sql("CREATE TRIGGER d BEFORE DELETE ON users BEGIN SELECT RAISE(IGNORE); END").await;
    } else {
        app.execute_sql(
            "CREATE FUNCTION t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
            CREATE TRIGGER t BEFORE UPDATE OF password_hash, email OR DELETE ON users FOR EACH ROW EXECUTE FUNCTION t()",
        )
        .await;
    }
    let change = json!({"current_password": "correct horse", "new_password": "another horse"});
    call(&app, Method::POST, "/users/me/password", &ann, change).await.is_problem(409, "changed_meanwhile");
    let current = json!({"current_password": "correct horse"});
    call(&app, Method::DELETE, "/users/me", &ann, current).await.is_problem(409, "changed_meanwhile");
    app.me(ann["access_token"].as_str().unwrap()).await.is(200);
    let login = json!({"mobile": "9876543210", "password": "correct horse"});
    app.post_from(&fresh_ip(), "/auth/login", login).await.is(200);
}

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
