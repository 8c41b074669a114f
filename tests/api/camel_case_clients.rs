//! The four older systems' own calls, as their clients send them.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Backend, Options, TestApp};

stories!(
    without a pooler:
    two_step_registration_by_mobile,
    officers_log_in_by_code_in_camel_case,
    an_account_system_mounted_at_the_root,
    email_activation_by_basic_within_a_minute,
    a_camel_prefix_speaks_camel_case_throughout,
);

async fn post(app: &TestApp, path: &str, body: Value) -> Answer {
    app.send(app.http.post(format!("{}{path}", app.base)).json(&body)).await
}

async fn bearer(app: &TestApp, method: Method, path: &str, token: &Value) -> Answer {
    app.send(app.http.request(method, format!("{}{path}", app.base)).bearer_auth(token.as_str().unwrap())).await
}

/// What a person reads on the phone.
async fn read_code(app: &TestApp, to: &str, messages: usize) -> String {
    let started = std::time::Instant::now();
    loop {
        let inbox = app.application.inbox.as_ref().unwrap().messages(Some(to));
        let codes: Vec<String> = inbox.into_iter().filter_map(|message| message.otp).collect();
        if codes.len() >= messages {
            return codes[0].clone();
        }
        assert!(started.elapsed().as_secs() < 10, "{} of {messages} messages came", codes.len());
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

async fn two_step_registration_by_mobile(backend: Backend) {
    let app = TestApp::with(backend, Options::default().with("ENROLL__SERVER__PREFIXES", "/")).await;
    let person = json!({"email": "ann@example.com", "mobileNumber": "9876543210", "password": "correct horse"});
    let registered = post(&app, "/auth/register", person).await.is(202);
    assert_eq!(registered["status"], "pending");
    read_code(&app, "+919876543210", 1).await;
    app.advance(31);
    post(&app, "/auth/resend-otp", json!({"mobileNumber": "9876543210"})).await.is(200);
    let otp = read_code(&app, "+919876543210", 2).await;
    let active = post(&app, "/auth/verify-otp", json!({"mobileNumber": "9876543210", "otp": otp})).await.is(200);
    assert_eq!(active["user"]["is_active"], true);
    assert_eq!(active["user"]["mobile"], "+919876543210");
}

async fn officers_log_in_by_code_in_camel_case(backend: Backend) {
    let app = TestApp::with(backend, Options::default().with("ENROLL__SERVER__CAMEL_PREFIXES", "/api")).await;
    app.import("login_id,mobile,email,name,locale\nOFF-17,9876543210,,Officer Ann,en-IN\n").await;
    let asked = json!({"loginId": "OFF-17", "mobileNumber": "9876543210"});
    let sent = post(&app, "/api/auth/send-otp", asked).await.is(200);
    assert_eq!((&sent["status"], &sent["expiresIn"]), (&json!("success"), &json!(120)));
    assert!(sent["message"].is_string());
    let otp = read_code(&app, "+919876543210", 1).await;
    let guess = json!({"loginId": "OFF-17", "mobileNumber": "9876543210", "otp": otp});
    let opened = post(&app, "/api/auth/verify-otp", guess.clone()).await.is(200);
    assert_eq!(opened["status"], "success");
    assert_eq!(opened["token"], opened["accessToken"]);
    let user = &opened["user"];
    assert_eq!((&user["loginId"], &user["mobileNumber"]), (&json!("OFF-17"), &json!("9876543210")));
    assert_eq!(user["name"], "Officer Ann");
    assert!(user["loginTime"].as_str().unwrap() <= app.now().to_string().as_str());
    let me = bearer(&app, Method::GET, "/api/users/me", &opened["token"]).await.is(200);
    assert_eq!((&me["mobile"], &me["mobileNumber"]), (&json!("+919876543210"), &json!("9876543210")));

    let missed = post(&app, "/api/auth/verify-otp", guess).await.is(401);
    assert_eq!((&missed["code"], missed["requestId"].is_string()), (&json!("invalid_code"), true));
    let out = bearer(&app, Method::POST, "/api/auth/logout", &opened["token"]).await.is(200);
    assert_eq!(out["status"], "success");
    bearer(&app, Method::GET, "/api/users/me", &opened["token"]).await.is(401);
    // Without a token nothing is revoked, and it is said alike.
    assert_eq!(post(&app, "/api/auth/logout", json!({})).await.is(200), out);
}

async fn an_account_system_mounted_at_the_root(backend: Backend) {
    let app = TestApp::with(backend, Options::default().with("ENROLL__SERVER__PREFIXES", "/")).await;
    let person = json!({"email": "ann@example.com", "mobile": "+919876543210", "password": "correct horse"});
    let registered = post(&app, "/auth/register", person).await.is(202);
    let id = registered["verification"]["verification_id"].as_str().unwrap();
    let code = json!({"verification_id": id, "code": app.code(id, 1).await});
    post(&app, "/auth/verify", code).await.is(200);
    let login = json!({"email": "ann@example.com", "password": "correct horse"});
    let opened = post(&app, "/auth/login", login).await.is(200);
    let refreshed = post(&app, "/auth/refresh", json!({"refresh_token": opened["refresh_token"]})).await.is(200);
    let me = bearer(&app, Method::GET, "/users/me", &refreshed["access_token"]).await.is(200);
    assert_eq!(me["email"], "ann@example.com");
}

async fn email_activation_by_basic_within_a_minute(backend: Backend) {
    let app = TestApp::start(backend).await;
    let person = json!({"email": "ann@example.com", "password": "correct horse"});
    let registered = app.post("/users", person).await.is(202);
    assert_eq!(registered["verification"]["code_length"], 4);
    let code = read_code(&app, "ann@example.com", 1).await;
    app.advance(60);
    let activate = async |code: &str| {
        app.basic("/users/activate", "ann@example.com", "correct horse", json!({"code": code})).await
    };
    activate(&code).await.is_problem(400, "invalid_code");
    app.basic("/users/resend-code", "ann@example.com", "correct horse", json!({})).await.is(200);
    let code = read_code(&app, "ann@example.com", 2).await;
    app.advance(59);
    let active = activate(&code).await.is(200);
    assert_eq!((&active["user"]["email_verified"], &active["user"]["is_active"]), (&json!(true), &json!(true)));
}

async fn a_camel_prefix_speaks_camel_case_throughout(backend: Backend) {
    let options = Options::default()
        .with("ENROLL__SERVER__CAMEL_PREFIXES", "/camel,/")
        .with("ENROLL__SERVER__PREFIXES", "/api/v1");
    let app = TestApp::with(backend, options).await;
    let person = json!({"mobile": "9876543210", "password": "correct horse", "loginId": "ann.1", "data": {"a_b": {"cD": 1}}});
    let registered = post(&app, "/camel/auth/register", person).await.is(202);
    let id = registered["verification"]["verificationId"].as_str().unwrap().to_owned();
    assert!(registered["userId"].is_string() && registered["verification"]["codeLength"] == 6);
    // Requests either way, errors in their own spelling; one key in two spellings is a key twice.
    let wrong = post(&app, "/camel/auth/verify-otp", json!({"verificationId": "x", "otp": "123456"})).await.is(422);
    assert_eq!(wrong["errors"][0]["field"], "verificationId");
    let unlisted = json!({"mobile": "9876543210", "appHash": "FA+9qCX9VSu"});
    let wrong = post(&app, "/camel/auth/send-otp", unlisted).await.is(422);
    assert_eq!((&wrong["errors"][0]["field"], &wrong["errors"][0]["code"]), (&json!("appHash"), &json!("unknown")));
    let twice = json!({"verificationId": id, "verification_id": id, "otp": "123456"});
    assert_eq!(post(&app, "/camel/auth/verify-otp", twice).await.is(400)["code"], "malformed_body");
    let opened =
        post(&app, "/auth/verify-otp", json!({"verificationId": id, "otp": app.code(&id, 1).await})).await.is(200);
    assert_eq!((&opened["tokenType"], &opened["user"]["mobileVerified"]), (&json!("Bearer"), &json!(true)));
    assert_eq!(opened["user"]["data"], json!({"a_b": {"cD": 1}}), "names of the app's own");
    let again = post(&app, "/auth/refresh", json!({"refreshToken": opened["refreshToken"]})).await.is(200);
    let listed = bearer(&app, Method::GET, "/users/me/sessions", &again["accessToken"]).await.is(200);
    assert!(listed["sessions"][0]["userAgent"].is_null() && listed["sessions"][0]["lastUsedAt"].is_string());
    assert!(post(&app, "/camel/nothing", json!({})).await.is(404)["requestId"].is_string());
    // What is no part of the API stays, and so does the other prefix, and what stands under both.
    assert!(app.get("/nothing").await.is(404)["requestId"].is_string());
    assert!(post(&app, "/api/v1/nothing", json!({})).await.is(404)["request_id"].is_string());
    assert!(post(&app, "/api/v1/auth/login", json!({})).await.is(422)["request_id"].is_string());
    let document = app.get("/openapi.json").await.is(200);
    assert!(document["components"]["schemas"]["User"]["properties"]["mobile_verified"].is_object());
    let inbox = app.get("/dev/inbox").await.is(200);
    assert_eq!(inbox[0]["verification_id"].as_str(), Some(id.as_str()));
}
