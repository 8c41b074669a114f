//! Input as people type and paste it, and as forms and scripts send it.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Backend, Options, TestApp, app::fresh_ip};

stories!(
    without a pooler:
    a_pasted_number_is_the_number,
    an_empty_field_is_an_absent_one,
    a_code_may_have_blanks_and_dashes,
    a_huge_number_in_an_unknown_field_is_ignored,
    contacts_are_not_changed_by_patch,
    a_limit_is_named_with_its_end,
    the_hint_at_a_login_is_given_where_it_helps,
    a_script_gets_no_basic_challenge,
    an_empty_element_of_a_proxys_header_is_skipped,
    scripts_may_send_trace_headers,
);

const PASSWORD: &str = "correct horse";

async fn register(app: &TestApp, body: Value) -> crate::support::Answer {
    app.post_from(&fresh_ip(), "/auth/register", body).await
}

async fn a_pasted_number_is_the_number(backend: Backend) {
    let app = TestApp::with(backend, Options::unlimited()).await;
    for mobile in ["\u{202a}+91 98765\u{2011}43210\u{202c}", "tel:+919876543210", "９８７６５ ４３２１０", "९८७६५४३२१०"] {
        let registered = register(&app, json!({"mobile": mobile, "password": PASSWORD})).await.is(202);
        assert_eq!(registered["verification"]["destination"], "+91******3210", "{mobile:?}");
    }
    for mobile in ["+881612345678", "+870773111632", "+979123456789"] {
        let refused = register(&app, json!({"mobile": mobile, "password": PASSWORD})).await;
        refused.is_invalid(&[("mobile", "unsupported_number")]);
    }
}

async fn an_empty_field_is_an_absent_one(backend: Backend) {
    let app = TestApp::with(backend, Options::unlimited()).await;
    let body = json!({"mobile": "", "email": "ann@example.com", "login_id": "", "name": "", "password": PASSWORD});
    let pending = app.register(body).await;
    let token = app.verify(&pending, &pending.otp).await.is(200)["access_token"].as_str().unwrap().to_owned();
    let me = app.me(&token).await.is(200);
    assert_eq!((&me["mobile"], &me["name"], &me["login_id"]), (&Value::Null, &Value::Null, &Value::Null));
    register(&app, json!({"email": "", "password": ""}))
        .await
        .is_invalid(&[("mobile", "required"), ("password", "required")]);
}

async fn a_code_may_have_blanks_and_dashes(backend: Backend) {
    let app = TestApp::with(backend, Options::unlimited()).await;
    for (mobile, separator) in [("9876543210", " "), ("9876543211", "-"), ("9876543212", "\u{2013}")] {
        let pending = app.register(json!({"mobile": mobile, "password": PASSWORD})).await;
        let otp = format!(" {}{separator}{} ", &pending.otp[..3], &pending.otp[3..]);
        app.verify(&pending, &otp).await.is(200);
    }
}

async fn a_huge_number_in_an_unknown_field_is_ignored(backend: Backend) {
    let app = TestApp::with(backend, Options::unlimited()).await;
    let post = async |body: String| {
        let request = app.request(Method::POST, "/auth/register").header("content-type", "application/json");
        app.send(request.body(body)).await
    };
    for (n, number) in ["1e999", "-1e400", "[1e999]", "{\"a\":1e999}"].iter().enumerate() {
        let body = format!(r#"{{"mobile":"987654321{n}","password":"{PASSWORD}","session":{number}}}"#);
        post(body).await.is(202);
    }
    post(format!(r#"{{"mobile":1e999,"password":"{PASSWORD}"}}"#)).await.is_invalid(&[("mobile", "invalid")]);
    post(format!(r#"{{"mobile":"9876543210","password":"{PASSWORD}","a":{{"b":1,"b":2}}}}"#))
        .await
        .is_problem(400, "malformed_body");
}

async fn contacts_are_not_changed_by_patch(backend: Backend) {
    let app = TestApp::with(backend, Options::unlimited()).await;
    let pending = app.register(json!({"mobile": "9876543210", "password": PASSWORD})).await;
    let token = app.verify(&pending, &pending.otp).await.is(200)["access_token"].as_str().unwrap().to_owned();
    let patch =
        async |body: Value| app.send(app.request(Method::PATCH, "/users/me").bearer_auth(&token).json(&body)).await;
    for (field, value) in [
        ("email", "x@example.com"),
        ("mobile", "9876543211"),
        ("mobileNumber", "9876543211"),
        ("login_id", "ann.1"),
        ("loginId", "ann.1"),
        ("password", "another horse"),
    ] {
        let refused = patch(json!({"name": "Ann", field: value})).await;
        let named = match field {
            "mobileNumber" => "mobile",
            "loginId" => "login_id",
            other => other,
        };
        refused.is_invalid(&[(named, "invalid")]);
    }
    patch(json!({"email": null})).await.is_invalid(&[("email", "invalid")]);
    let before = app.me(&token).await.is(200);
    assert_eq!(before["name"], Value::Null);
    app.advance(60);
    let same = patch(json!({"name": null})).await.is(200);
    assert_eq!(same["updated_at"], before["updated_at"], "nothing changed");
    patch(json!({})).await.is(200);
    let changed = patch(json!({"name": "Ann"})).await.is(200);
    assert_ne!(changed["updated_at"], before["updated_at"]);
}

async fn a_limit_is_named_with_its_end(backend: Backend) {
    let app = TestApp::start(backend).await;
    for n in 0..5 {
        let body = json!({"mobile": format!("987654321{n}"), "password": PASSWORD});
        app.post_from("192.0.2.1", "/auth/register", body).await.is(202);
    }
    let body = json!({"mobile": "9876543219", "password": PASSWORD});
    let refused = app.post_from("192.0.2.1", "/auth/register", body).await;
    let after: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    let problem: Value = serde_json::from_str(&refused.text).unwrap();
    assert_eq!((&problem["retry_after"], &problem["policy"]), (&json!(after), &json!("client-sends")));
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.starts_with("too many codes were requested") && detail.contains(&after.to_string()), "{detail}");
    refused.is_problem(429, "too_many_requests");
}

async fn the_hint_at_a_login_is_given_where_it_helps(backend: Backend) {
    let app = TestApp::with(backend, Options::unlimited()).await;
    let detail = async |body: Value| {
        let refused = app.post("/auth/verify-otp", body).await;
        let problem: Value = serde_json::from_str(&refused.text).unwrap();
        problem["detail"].as_str().unwrap().to_owned()
    };
    let by_address = json!({"mobile": "9876543210", "otp": "000000"});
    assert!(detail(by_address).await.contains("purpose"));
    let named = json!({"mobile": "9876543210", "otp": "000000", "purpose": "login"});
    assert!(!detail(named).await.contains("purpose"));
}

async fn a_script_gets_no_basic_challenge(backend: Backend) {
    let app = TestApp::start(backend).await;
    let challenge = async |mode: Option<&str>| {
        let mut request = app.request(Method::POST, "/users/activate").json(&json!({"otp": "1234"}));
        if let Some(mode) = mode {
            request = request.header("sec-fetch-mode", mode);
        }
        let refused = app.send(request).await;
        assert_eq!(refused.status, 401);
        refused.header("www-authenticate").is_some()
    };
    assert!(challenge(None).await && challenge(Some("navigate")).await);
    assert!(!challenge(Some("cors")).await && !challenge(Some("same-origin")).await);
}

async fn an_empty_element_of_a_proxys_header_is_skipped(backend: Backend) {
    let app = TestApp::start(backend).await;
    let register = async |forwarded: &str, n: u32| {
        let body = json!({"mobile": format!("98765432{n:02}"), "password": PASSWORD});
        app.post_from(forwarded, "/auth/register", body).await.status
    };
    for n in 0..5 {
        assert_eq!(register("203.0.113.7,", n).await, 202);
    }
    assert_eq!(register("203.0.113.7,, 127.0.0.1", 5).await, 429, "one client, however it is written");
    assert_eq!(register("203.0.113.8,", 6).await, 202, "another client");
}

async fn scripts_may_send_trace_headers(backend: Backend) {
    let options = Options::default().with("ENROLL__SERVER__CORS_ORIGINS", "https://app.example.com");
    let app = TestApp::with(backend, options).await;
    let preflight = app
        .request(Method::OPTIONS, "/auth/register")
        .header("origin", "https://app.example.com")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "traceparent,x-request-id");
    let allowed = app.send(preflight).await.header("access-control-allow-headers").unwrap().to_owned();
    assert!(allowed.contains("traceparent") && allowed.contains("x-request-id"), "{allowed}");
}
