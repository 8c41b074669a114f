//! Login by password, and the life of a session.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Backend, Options, TestApp, app::fresh_ip};

stories!(
    a_password_logs_in_by_each_name,
    unknown_and_wrong_are_one_answer_and_counted,
    login_shows_a_pending_registration_to_the_owner_of_its_password,
    an_unproven_address_logs_in_who_has_held_it_longest,
    a_cheaper_hash_is_made_anew,
    a_refresh_replaces_the_token,
    twenty_refreshes_at_once_have_one_successor,
    a_token_used_again_ends_the_session,
    logging_out_ends_the_session_at_once_on_every_node,
    sessions_are_listed_and_ended_by_id,
    an_account_keeps_its_hundred_newest_sessions,
    tokens_of_one_kind_are_none_of_the_other,
    a_session_ends_in_any_case,
    a_hundred_wrong_passwords_in_a_row_close_the_password,
);

const PASSWORD: &str = "correct horse";

/// An account with all three names, and the tokens of its first session.
async fn account(app: &TestApp) -> Value {
    let body = json!({"mobile": "9876543210", "email": "ann@example.com", "login_id": "Ann.1", "password": PASSWORD});
    let ann = app.register(body).await;
    app.verify(&ann, &ann.otp).await.is(200)
}

async fn login(app: &TestApp, body: Value) -> Answer {
    app.post_from(&fresh_ip(), "/auth/login", body).await
}

async fn refresh(app: &TestApp, token: &Value) -> Answer {
    app.post("/auth/refresh", json!({"refresh_token": token})).await
}

fn access(tokens: &Value) -> &str {
    tokens["access_token"].as_str().unwrap()
}

async fn with_token(app: &TestApp, method: Method, path: &str, tokens: &Value) -> Answer {
    app.send(app.request(method, path).bearer_auth(access(tokens))).await
}

async fn a_password_logs_in_by_each_name(backend: Backend) {
    let app = TestApp::start(backend).await;
    let ann = account(&app).await;
    for name in [
        json!({"mobile": "98765 43210"}),
        json!({"mobileNumber": "+919876543210"}),
        json!({"email": "ANN@example.com"}), // held unproven, and by nobody else
        json!({"login_id": "ann.1"}),
        json!({"loginId": "ANN.1"}),
    ] {
        let mut body = name;
        body["password"] = PASSWORD.into();
        let answer = login(&app, body).await;
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let opened = answer.is(200);
        assert_eq!(opened["user"], ann["user"]);
        app.me(access(&opened)).await.is(200);
    }
    login(&app, json!({"password": PASSWORD})).await.is_invalid(&[("login_id", "required")]);
    login(&app, json!({"email": "ann@example.com", "mobile": "9876543210", "password": PASSWORD}))
        .await
        .is_invalid(&[("email", "too_many_identifiers")]);
    login(&app, json!({"login_id": "ann.1"})).await.is_invalid(&[("password", "required")]);
    // Login does not judge a password's form.
    login(&app, json!({"login_id": "ann.1", "password": "x"})).await.is_problem(401, "invalid_credentials");
}

async fn unknown_and_wrong_are_one_answer_and_counted(backend: Backend) {
    let app = TestApp::start(backend).await;
    account(&app).await;
    let mut answers = Vec::new();
    for name in ["ann@example.com", "nobody@example.com"] {
        for n in 0..10 {
            let wrong = login(&app, json!({"email": name, "password": format!("wrong {n}")})).await;
            assert_eq!(wrong.header("www-authenticate"), Some("Bearer"));
            let mut problem = wrong.is_problem(401, "invalid_credentials");
            problem.as_object_mut().unwrap().remove("request_id");
            answers.push(problem);
        }
        login(&app, json!({"email": name, "password": PASSWORD})).await.is_problem(429, "too_many_attempts");
    }
    assert!(answers.windows(2).all(|two| two[0] == two[1]));
    // Another of the account's names is counted apart, and coming in forgives the proven ones.
    login(&app, json!({"mobile": "9876543210", "password": PASSWORD})).await.is(200);
    app.advance(3_601);
    login(&app, json!({"email": "ann@example.com", "password": PASSWORD})).await.is(200);
}

async fn login_shows_a_pending_registration_to_the_owner_of_its_password(backend: Backend) {
    let app = TestApp::start(backend).await;
    let ann = app.register(json!({"mobile": "9876543210", "email": "ann@example.com", "password": PASSWORD})).await;
    for name in [json!({"mobile": "9876543210"}), json!({"email": "ann@example.com"})] {
        let mut body = name;
        body["password"] = PASSWORD.into();
        let told = login(&app, body.clone()).await.is_problem(403, "account_not_activated");
        assert_eq!(told["verification"]["verification_id"], ann.verification_id);
        assert_eq!(told["verification"]["code_length"], 6);
        body["password"] = "wrong horse".into();
        login(&app, body).await.is_problem(401, "invalid_credentials");
    }
}

async fn an_unproven_address_logs_in_who_has_held_it_longest(backend: Backend) {
    let app = TestApp::start(backend).await;
    let ann = account(&app).await;
    app.advance(60);
    let body = json!({"mobile": "9876543211", "email": "ann@example.com", "password": "another horse"});
    let bob = app.register(body).await;
    app.verify(&bob, &bob.otp).await.is(200);
    let by_email = async |password: &str| login(&app, json!({"email": "ann@example.com", "password": password})).await;
    assert_eq!(by_email(PASSWORD).await.is(200)["user"]["id"], ann["user"]["id"]);
    by_email("another horse").await.is_problem(401, "invalid_credentials");

    let eve = app.register(json!({"email": "ann@example.com", "password": "a third horse"})).await;
    app.verify(&eve, &eve.otp).await.is(200);
    by_email(PASSWORD).await.is_problem(401, "invalid_credentials");
    assert_eq!(by_email("a third horse").await.is(200)["user"]["id"], eve.user_id);
}

async fn a_cheaper_hash_is_made_anew(backend: Backend) {
    let app = TestApp::start(backend).await;
    account(&app).await;
    let app = app.restart_with("ENROLL__PASSWORDS__ITERATIONS", 3).await;
    for _ in 0..2 {
        login(&app, json!({"login_id": "ann.1", "password": PASSWORD})).await.is(200);
    }
    let address = enroll::domain::Address::from_stored("+919876543210".into());
    let user = app.store().read().await.unwrap().user_by_address(&address).await.unwrap().unwrap();
    assert!(user.password_hash.unwrap().contains("t=3"), "the dearer one is kept now");
}

async fn a_refresh_replaces_the_token(backend: Backend) {
    let app = TestApp::start(backend).await;
    let first = account(&app).await;
    let second = refresh(&app, &first["refresh_token"]).await.is(200);
    assert_ne!(second["refresh_token"], first["refresh_token"]);
    assert_eq!(second["user"], first["user"]);
    app.me(access(&second)).await.is(200);
    // A lost answer, a second tab: the same successor, within the grace.
    app.advance(29);
    let again = refresh(&app, &first["refresh_token"]).await.is(200);
    assert_eq!(again["refresh_token"], second["refresh_token"]);
    let third = refresh(&app, &second["refresh_token"]).await.is(200);

    // The idle end moves on with each refresh; the session's own end does not.
    app.advance(2_592_000 - 1);
    let fourth = refresh(&app, &third["refresh_token"]).await.is(200);
    app.advance(2_592_000);
    refresh(&app, &fourth["refresh_token"]).await.is_problem(401, "invalid_token");
}

async fn twenty_refreshes_at_once_have_one_successor(backend: Backend) {
    let app = TestApp::start(backend).await;
    let first = account(&app).await;
    let answers = futures_util::future::join_all((0..20).map(|_| refresh(&app, &first["refresh_token"]))).await;
    let successors: std::collections::BTreeSet<String> =
        answers.into_iter().map(|answer| answer.is(200)["refresh_token"].to_string()).collect();
    assert_eq!(successors.len(), 1);
    let listed = with_token(&app, Method::GET, "/users/me/sessions", &first).await.is(200);
    assert_eq!(listed["sessions"].as_array().unwrap().len(), 1);
}

async fn a_token_used_again_ends_the_session(backend: Backend) {
    let app = TestApp::start(backend).await;
    let first = account(&app).await;
    let second = refresh(&app, &first["refresh_token"]).await.is(200);
    app.me(access(&second)).await.is(200);
    app.advance(30);
    let reused = refresh(&app, &first["refresh_token"]).await;
    assert_eq!(reused.header("www-authenticate"), Some(r#"Bearer error="invalid_token""#));
    reused.is_problem(401, "token_reused");
    refresh(&app, &second["refresh_token"]).await.is_problem(401, "invalid_token");
    app.me(access(&second)).await.is_problem(401, "invalid_token");

    // An older one than the last replaced ends it also within the grace.
    let first = login(&app, json!({"login_id": "ann.1", "password": PASSWORD})).await.is(200);
    let second = refresh(&app, &first["refresh_token"]).await.is(200);
    refresh(&app, &second["refresh_token"]).await.is(200);
    refresh(&app, &first["refresh_token"]).await.is_problem(401, "token_reused");
    // A forged one touches nothing.
    let live = login(&app, json!({"login_id": "ann.1", "password": PASSWORD})).await.is(200);
    let forged = live["refresh_token"].as_str().unwrap().chars().rev().collect::<String>();
    refresh(&app, &json!(forged)).await.is_problem(401, "invalid_token");
    refresh(&app, &live["refresh_token"]).await.is(200);
}

async fn logging_out_ends_the_session_at_once_on_every_node(backend: Backend) {
    let app = TestApp::start(backend).await;
    let first = account(&app).await;
    let second = login(&app, json!({"login_id": "ann.1", "password": PASSWORD})).await.is(200);
    let third = login(&app, json!({"login_id": "ann.1", "password": PASSWORD})).await.is(200);
    with_token(&app, Method::POST, "/auth/logout", &first).await.is(204);
    app.post("/auth/logout", json!({"refresh_token": second["refresh_token"]})).await.is(204);
    with_token(&app, Method::POST, "/auth/logout", &first).await.is(204); // worth nothing, and said alike
    app.post("/auth/logout", json!({})).await.is_problem(401, "missing_token");
    app.send(app.request(Method::POST, "/auth/logout")).await.is_problem(401, "missing_token");

    let other = if backend == Backend::Fleet { Some(app.another_node().await) } else { None };
    for node in std::iter::once(&app).chain(&other) {
        for ended in [&first, &second] {
            node.me(access(ended)).await.is_problem(401, "invalid_token");
            refresh(node, &ended["refresh_token"]).await.is_problem(401, "invalid_token");
        }
        node.me(access(&third)).await.is(200);
    }
    with_token(&app, Method::POST, "/auth/logout-all", &third).await.is(204);
    for node in std::iter::once(&app).chain(&other) {
        node.me(access(&third)).await.is_problem(401, "invalid_token");
        refresh(node, &third["refresh_token"]).await.is_problem(401, "invalid_token");
    }
    login(&app, json!({"login_id": "ann.1", "password": PASSWORD})).await.is(200);
}

async fn sessions_are_listed_and_ended_by_id(backend: Backend) {
    let app = TestApp::start(backend).await;
    let first = account(&app).await;
    app.advance(5);
    let request =
        app.request(Method::POST, "/auth/login").header("user-agent", "phone/1").header("x-forwarded-for", "192.0.2.7");
    let body = json!({"login_id": "ann.1", "password": PASSWORD});
    let second = app.send(request.json(&body)).await.is(200);

    let listed = with_token(&app, Method::GET, "/users/me/sessions", &second).await.is(200);
    let [newest, oldest] = &listed["sessions"].as_array().unwrap()[..] else { panic!("{listed:#}") };
    assert_eq!((&newest["current"], &oldest["current"]), (&json!(true), &json!(false)));
    assert_eq!((&newest["user_agent"], &newest["address"]), (&json!("phone/1"), &json!("192.0.2.7")));
    let path = format!("/users/me/sessions/{}", oldest["id"].as_str().unwrap());
    with_token(&app, Method::DELETE, &path, &second).await.is(204);
    with_token(&app, Method::DELETE, &path, &second).await.is_problem(404, "not_found");
    app.me(access(&first)).await.is_problem(401, "invalid_token");

    // Nobody ends another's.
    let bob = app.register(json!({"mobile": "9876543211", "password": PASSWORD})).await;
    let bob = app.verify(&bob, &bob.otp).await.is(200);
    let path = format!("/users/me/sessions/{}", newest["id"].as_str().unwrap());
    with_token(&app, Method::DELETE, &path, &bob).await.is_problem(404, "not_found");
    with_token(&app, Method::DELETE, "/users/me/sessions/17", &bob).await.is_problem(404, "not_found");
    app.me(access(&second)).await.is(200);
}

async fn an_account_keeps_its_hundred_newest_sessions(backend: Backend) {
    let app = TestApp::with(backend, Options::unlimited()).await;
    let first = account(&app).await;
    for _ in 0..100 {
        login(&app, json!({"login_id": "ann.1", "password": PASSWORD})).await.is(200);
    }
    app.me(access(&first)).await.is_problem(401, "invalid_token");
    let last = login(&app, json!({"login_id": "ann.1", "password": PASSWORD})).await.is(200);
    let listed = with_token(&app, Method::GET, "/users/me/sessions", &last).await.is(200);
    assert_eq!(listed["sessions"].as_array().unwrap().len(), 100);
}

async fn tokens_of_one_kind_are_none_of_the_other(backend: Backend) {
    let app = TestApp::start(backend).await;
    let tokens = account(&app).await;
    app.me(tokens["refresh_token"].as_str().unwrap()).await.is_problem(401, "invalid_token");
    refresh(&app, &tokens["access_token"]).await.is_problem(401, "invalid_token");
    refresh(&app, &json!(" ")).await.is_problem(401, "invalid_token");
    refresh(&app, &json!("")).await.is_invalid(&[("refresh_token", "required")]); // empty is absent
    app.post("/auth/refresh", json!({})).await.is_invalid(&[("refresh_token", "required")]);
    app.advance(1_800 + 30);
    app.me(access(&tokens)).await.is_problem(401, "invalid_token");
}

async fn a_session_ends_in_any_case(backend: Backend) {
    let options = Options::default()
        .with("ENROLL__TOKENS__SESSION_TTL", 3_600)
        .with("ENROLL__TOKENS__REFRESH_TTL", 1_800)
        .with("ENROLL__TOKENS__ACCESS_TTL", 7_200);
    let app = TestApp::with(backend, options).await;
    let mut tokens = account(&app).await;
    for (seconds, left) in [(1_500, 1_800), (1_500, 600), (590, 10)] {
        app.advance(seconds);
        tokens = refresh(&app, &tokens["refresh_token"]).await.is(200);
        assert!(tokens["refresh_expires_in"].as_u64().unwrap() <= left, "{tokens:#}");
    }
    app.advance(20);
    refresh(&app, &tokens["refresh_token"]).await.is_problem(401, "invalid_token");
    app.me(access(&tokens)).await.is_problem(401, "invalid_token"); // its access token too, though it says otherwise
}

async fn a_hundred_wrong_passwords_in_a_row_close_the_password(backend: Backend) {
    let options = Options::default()
        .with("ENROLL__LIMITS__LOGIN_FAILURES_IN_A_ROW", 12)
        .with("ENROLL__LIMITS__LOGIN_FAILURES_PER_IDENTIFIER", "1000/3600");
    let app = TestApp::with(backend, options).await;
    let ann = app.register(json!({"mobile": "9876543210", "login_id": "ann.1", "password": "correct horse"})).await;
    app.verify(&ann, &ann.otp).await.is(200);
    let login = async |name: &Value, password: &str| {
        let mut body = name.clone();
        body["password"] = password.into();
        app.post_from(&fresh_ip(), "/auth/login", body).await
    };
    let (mobile, login_id) = (json!({"mobile": "9876543210"}), json!({"login_id": "ann.1"}));
    let closed = async |name: &Value| {
        let refused = login(name, "correct horse").await;
        assert_eq!(refused.header("ratelimit-policy"), Some(r#""password-closed";q=12;w=86400"#), "{refused:?}");
        assert_eq!(refused.header("retry-after"), Some("86400"));
        refused.is_problem(429, "too_many_attempts");
    };
    // A right one, and a day without a wrong one, begin anew.
    for pause in [0, 86_400] {
        for _ in 0..11 {
            login(&mobile, "a wrong horse").await.is_problem(401, "invalid_credentials");
        }
        app.advance(pause);
        if pause == 0 {
            login(&mobile, "correct horse").await.is(200);
        }
    }
    for n in 0..12 {
        let name = if n % 2 == 0 { &mobile } else { &login_id };
        login(name, "a wrong horse").await.is_problem(401, "invalid_credentials");
    }
    closed(&mobile).await;
    closed(&login_id).await;
    let basic = app.request(reqwest::Method::POST, "/users/activate").basic_auth("9876543210", Some("correct horse"));
    app.send(basic.json(&json!({"otp": "123456"}))).await.is_problem(429, "too_many_attempts");
    // A name that is nobody's gets there alike.
    let nobody = json!({"login_id": "nobody.1"});
    for _ in 0..12 {
        login(&nobody, "a wrong horse").await.is_problem(401, "invalid_credentials");
    }
    closed(&nobody).await;
    app.advance(86_400);
    closed(&nobody).await;
    closed(&mobile).await;
    // A login by code opens it; so does an operator.
    let sent = app.post_from(&fresh_ip(), "/auth/send-otp", mobile.clone()).await.is(200);
    let id = sent["verification"]["verification_id"].as_str().unwrap();
    let otp = app.code(id, 1).await;
    app.post("/auth/verify-otp", json!({"verification_id": id, "otp": otp})).await.is(200);
    login(&login_id, "correct horse").await.is(200);
    for _ in 0..12 {
        login(&login_id, "a wrong horse").await.is_problem(401, "invalid_credentials");
    }
    closed(&mobile).await;
    let (_, errors, code) = app.command(&["limits", "lift", "9876543210"]).await;
    assert_eq!(code, 0, "{errors}");
    login(&login_id, "a wrong horse").await.is_problem(401, "invalid_credentials");
    login(&login_id, "correct horse").await.is(200);
}
