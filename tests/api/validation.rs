//! Whatever is wrong with a request answers as documented, and changes nothing.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::{Answer, Backend, Options, TestApp};

stories!(
    without a pooler:
    every_field_can_be_wrong,
    bodies_that_are_no_json_objects_are_malformed,
    the_frameworks_own_errors_are_problems,
    the_type_of_a_problem_leads_to_its_description,
    requests_are_numbered_and_answers_are_hardened,
    cross_origin_calls_are_allowed_to_named_origins_alone,
    credentials_that_are_none_are_401,
    the_service_tells_of_itself,
);

async fn every_field_can_be_wrong(backend: Backend) {
    let app = TestApp::start(backend).await;
    let register = async |body: Value| app.post("/auth/register", body).await;

    register(json!({})).await.is_invalid(&[("mobile", "required"), ("password", "required")]);
    register(json!({"mobile": null, "password": "short"}))
        .await
        .is_invalid(&[("mobile", "required"), ("password", "too_short")]);
    let good = json!({"mobile": "9876543210", "password": "correct horse"});
    for (field, wrong, code) in [
        ("mobile", json!("98765432"), "invalid"),
        ("mobile", json!("57575"), "unsupported_number"),
        ("mobile", json!("1800 11 1234"), "unsupported_number"),
        ("mobile", json!(9_876_543_210_u64), "invalid"),
        ("mobile", json!("98765\u{0}43210"), "invalid"),
        ("email", json!("ann"), "invalid"),
        ("email", json!("\"ann\"@example.com"), "invalid"),
        ("email", json!(format!("{}@example.com", "a".repeat(300))), "too_long"),
        ("email", json!(["ann@example.com"]), "invalid"),
        ("password", json!("Password1"), "common_password"),
        ("password", json!("098765 43210"), "own_identifier"),
        ("password", json!("x".repeat(129)), "too_long"),
        ("password", json!("x".repeat(10_000)), "too_long"),
        ("password", json!("with\u{0}a nul"), "invalid"),
        ("password", json!({"secret": 1}), "invalid"),
        ("login_id", json!("ab"), "too_short"),
        ("login_id", json!("has blank"), "invalid"),
        ("login_id", json!("x".repeat(65)), "too_long"),
        ("name", json!("   "), "too_short"),
        ("name", json!("n".repeat(201)), "too_long"),
        ("name", json!("bell\u{7}"), "invalid"),
        ("locale", json!("not a tag"), "invalid"),
        ("mobileNumber", json!("9876543211"), "invalid"),
    ] {
        let mut body = good.clone();
        body[field] = wrong;
        let named = if field == "mobileNumber" { "mobile" } else { field };
        register(body).await.is_invalid(&[(named, code)]);
    }

    let verify = async |body: Value| app.post("/auth/verify-otp", body).await;
    verify(json!({})).await.is_invalid(&[("mobile", "required"), ("otp", "required")]);
    verify(json!({"mobile": "9876543210", "otp": 123_456})).await.is_invalid(&[("otp", "invalid")]);
    verify(json!({"mobile": "9876543210", "otp": "12345"})).await.is_invalid(&[("otp", "invalid")]);
    verify(json!({"mobile": "9876543210", "otp": "１２３４５６"})).await.is_invalid(&[("otp", "invalid")]);
    verify(json!({"mobile": "9876543210", "otp": "123456", "code": "123456"})).await.is_invalid(&[("otp", "invalid")]);
    verify(json!({"mobile": "9876543210", "email": "ann@example.com", "otp": "123456"}))
        .await
        .is_invalid(&[("email", "too_many_identifiers")]);
    verify(json!({"verification_id": "17", "otp": "123456"})).await.is_invalid(&[("verification_id", "invalid")]);
    app.post("/auth/resend-otp", json!({"mobile": true})).await.is_invalid(&[("mobile", "invalid")]);

    // Nothing of it was counted, sent or kept: five registrations of this client still pass.
    register(good).await.is(202);
}

async fn bodies_that_are_no_json_objects_are_malformed(backend: Backend) {
    let app = TestApp::start(backend).await;
    let deep = format!("{{\"mobile\":{}1{}}}", "[".repeat(2_000), "]".repeat(2_000));
    for body in [
        "",
        "null",
        "[]",
        "\"mobile\"",
        "{",
        "{}{}",
        r#"{"mobile":"9876543210","mobile":"9876543211","password":"correct horse"}"#,
        r#"{"x":1,"x":2,"mobile":"9876543210","password":"correct horse"}"#,
        r#"{"mobile":"\ud800","password":"correct horse"}"#,
        &deep,
    ] {
        for path in ["/auth/register", "/users", "/auth/verify-otp", "/auth/verify", "/auth/resend-otp"] {
            json_text(&app, path, body.to_owned()).await.is_problem(400, "malformed_body");
        }
    }
    json_text(&app, "/auth/register", format!("{{\"name\":\"{}\"}}", "n".repeat(1_000_000)))
        .await
        .is_problem(413, "body_too_large");
    let chunked = reqwest::Body::from(format!("{{\"name\":\"{}\"}}", "n".repeat(20_000)));
    let request = app.request(Method::POST, "/auth/register").header("content-type", "application/json").body(chunked);
    app.send(request).await.is_problem(413, "body_too_large");
}

async fn json_text(app: &TestApp, path: &str, body: String) -> Answer {
    app.send(app.request(Method::POST, path).header("content-type", "application/json").body(body)).await
}

async fn the_type_of_a_problem_leads_to_its_description(backend: Backend) {
    let app = TestApp::start(backend).await;
    let problem = app.post("/auth/login", json!({})).await.is_problem(422, "invalid_fields");
    assert!(problem["type"].as_str().unwrap().ends_with("/docs/errors#invalid_fields"), "{problem}");
    let page = app.get("/docs/errors").await;
    assert!(page.header("content-type").unwrap().starts_with("text/html"));
    let page = page.text;
    for row in enroll::http::error_table().lines().skip(2) {
        let code = row.split('`').nth(1).unwrap();
        assert!(page.contains(&format!(r#"<h3 id="{code}"><code>{code}</code></h3>"#)), "{code}: {page}");
    }
    assert!(!page.contains(".md"), "no link leads to what is not there");
}

async fn the_frameworks_own_errors_are_problems(backend: Backend) {
    let app = TestApp::start(backend).await;
    app.get("/nowhere").await.is_problem(404, "not_found");
    app.get("/docs/nowhere").await.is_problem(404, "not_found");
    app.get("/auth/verifications/%FF").await.is_problem(404, "unknown_verification");
    app.get("/dev/inbox?to=a&to=b").await.is_problem(400, "malformed_body");
    app.get("/api/v1/nowhere").await.is_problem(404, "not_found");
    let wrong_method = app.get("/auth/register").await;
    assert_eq!(wrong_method.header("allow"), Some("POST"));
    wrong_method.is_problem(405, "method_not_allowed");

    let body = json!({"mobile": "9876543210", "password": "correct horse"}).to_string();
    let post = || app.request(Method::POST, "/auth/register").body(body.clone());
    let refused = async |request: RequestBuilder| app.send(request).await.is_problem(415, "unsupported_media_type");
    refused(post()).await;
    refused(post().header("content-type", "text/plain")).await;
    refused(post().header("content-type", "application/x-www-form-urlencoded")).await;
    refused(post().header("content-type", "application/json").header("content-encoding", "gzip")).await;
    app.send(post().header("content-type", "Application/JSON; charset=utf-8")).await.is(202);
}

async fn requests_are_numbered_and_answers_are_hardened(backend: Backend) {
    let app = TestApp::start(backend).await;
    let with_id = async |id: &str| app.send(app.request(Method::GET, "/livez").header("x-request-id", id)).await;
    assert_eq!(with_id("caller-7").await.header("x-request-id"), Some("caller-7"));
    for wrong in ["has blank", &"x".repeat(129)] {
        let answer = with_id(wrong).await;
        assert!(uuid::Uuid::parse_str(answer.header("x-request-id").unwrap()).is_ok());
    }
    let answer = app.get("/livez").await;
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("cache-control", "no-store"),
        ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
        ("strict-transport-security", "max-age=31536000"),
    ] {
        assert_eq!(answer.header(name), Some(value));
    }
}

async fn cross_origin_calls_are_allowed_to_named_origins_alone(backend: Backend) {
    let options = Options::default().with("ENROLL__SERVER__CORS_ORIGINS", "https://app.example.com");
    let app = TestApp::with(backend, options).await;
    let preflight = async |origin: &str| {
        let request = app
            .request(Method::OPTIONS, "/auth/register")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "content-type");
        app.send(request).await
    };
    let allowed = preflight("https://app.example.com").await;
    assert_eq!(allowed.header("access-control-allow-origin"), Some("https://app.example.com"));
    assert_eq!(allowed.header("access-control-max-age"), Some("600"));
    assert_eq!(allowed.header("access-control-allow-credentials"), None);
    assert_eq!(preflight("https://evil.example.com").await.header("access-control-allow-origin"), None);

    let body = json!({"mobile": "1"});
    let answer =
        app.send(app.request(Method::POST, "/auth/register").header("origin", "https://app.example.com").json(&body));
    let exposed = answer.await.header("access-control-expose-headers").unwrap().to_owned();
    for name in ["retry-after", "ratelimit", "ratelimit-policy", "www-authenticate", "x-request-id"] {
        assert!(exposed.contains(name), "{exposed}");
    }
}

async fn credentials_that_are_none_are_401(backend: Backend) {
    let app = TestApp::start(backend).await;
    let me = app.get("/users/me").await;
    assert_eq!(me.header("www-authenticate"), Some("Bearer"));
    me.is_problem(401, "missing_token");
    for token in ["x", "a.b.c", "eyJhbGciOiJub25lIn0.e30."] {
        let me = app.me(token).await;
        assert_eq!(me.header("www-authenticate"), Some(r#"Bearer error="invalid_token""#));
        me.is_problem(401, "invalid_token");
    }
    for path in ["/users/activate", "/users/resend-code"] {
        for header in ["", "Basic", "Basic !!!", "Basic bm8gY29sb24=", "Bearer abc"] {
            let request = app.request(Method::POST, path).json(&json!({"otp": "1234"}));
            let answer = app.send(request.header("authorization", header)).await;
            assert_eq!(answer.header("www-authenticate"), Some(r#"Basic realm="enroll", charset="UTF-8""#));
            answer.is_problem(401, "invalid_credentials");
        }
    }
}

async fn the_service_tells_of_itself(backend: Backend) {
    let app = TestApp::start(backend).await;
    app.get("/livez").await.is(200);
    assert_eq!(app.get("/readyz").await.is(200)["status"], "ready");
    assert_eq!(app.get("/readyz?needs=sql").await.is(200)["missing"], json!([]));
    let document = app.get("/openapi.json").await.is(200);
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    for path in ["/auth/register", "/users", "/auth/verify-otp", "/auth/verify", "/auth/resend-otp", "/users/activate"]
    {
        assert!(document["paths"][format!("/api/v1{path}")]["post"]["responses"]["422"].is_object(), "{path}");
    }
    let page = app.get("/docs/").await;
    assert!(page.text.contains("swagger"), "{page:?}");
    for asset in ["swagger-ui.css", "swagger-ui-bundle.js"] {
        assert_eq!(app.get(&format!("/docs/{asset}")).await.status, 200);
    }
    assert!(!page.text.contains("https://"), "the page loads nothing from elsewhere");
}
