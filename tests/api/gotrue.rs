//! The GoTrue dialect over HTTP: what its client libraries do not show.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::{
    Answer, Backend, Options, TestApp,
    app::{fresh_ip, other_than},
};

stories!(
    without a pooler:
    a_person_signs_up_verifies_and_is_told,
    errors_have_two_forms,
    pages_elsewhere_may_put,
    a_request_is_one_attempt_at_one_code,
    a_registration_of_elsewhere_is_meant_if_it_is_alone,
    attempts_here_leave_those_of_who_has_the_id,
    a_contact_is_changed_from_where_it_was_asked_for,
    a_token_says_more_of_its_session_under_the_prefix_alone,
    what_is_sent_in_vain_is_answered_alike,
    a_taken_address_does_not_show_where_accounts_are_concealed,
    an_update_takes_several_things_at_once,
    sessions_end_by_scope,
    limits_are_told_by_channel,
    the_service_tells_what_it_is,
    a_fault_is_one_of_the_server,
    under_camel_case_it_stays_itself,
);

const PASSWORD: &str = "correct horse";

fn options() -> Options {
    Options::default()
        .with("ENROLL__SERVER__GOTRUE_PREFIX", "/auth/v1")
        .with("ENROLL__CODES__REGISTRATION_EMAIL__DIGITS", 6)
        .with("ENROLL__CODES__REGISTRATION_EMAIL__TTL", 300)
}

/// A client of the dialect, at an address of its own.
struct Caller<'a> {
    app: &'a TestApp,
    ip: String,
}

impl<'a> Caller<'a> {
    fn new(app: &'a TestApp) -> Self {
        Self { app, ip: fresh_ip() }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}/auth/v1{path}", self.app.base);
        self.app.http.request(method, url).header("x-forwarded-for", &self.ip)
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.app.send(self.request(Method::POST, path).json(&body)).await
    }

    async fn as_owner(&self, method: Method, path: &str, session: &Value, body: Value) -> Answer {
        let token = session["access_token"].as_str().unwrap();
        self.app.send(self.request(method, path).bearer_auth(token).json(&body)).await
    }

    async fn me(&self, session: &Value) -> Answer {
        let token = session["access_token"].as_str().unwrap();
        self.app.send(self.request(Method::GET, "/user").bearer_auth(token)).await
    }

    /// A new account with this phone.
    async fn account(&self, phone: &str) -> Value {
        self.post("/signup", json!({"phone": phone, "password": PASSWORD})).await.is(200);
        let token = read_code(self.app, &format!("+{phone}"), 1).await;
        self.post("/verify", json!({"type": "sms", "phone": phone, "token": token})).await.is(200)
    }
}

/// The newest code to an address, once so many came.
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

/// An error in its first form.
#[track_caller]
fn refused(answer: Answer, status: u16, code: &str) -> Value {
    assert_eq!(answer.header("content-type"), Some("application/json"), "{answer:#?}");
    let body = answer.is(status);
    assert_eq!((&body["code"], &body["error_code"]), (&json!(status), &json!(code)), "{body}");
    assert!(body["msg"].as_str().is_some_and(|message| !message.is_empty()), "{body}");
    body
}

async fn a_person_signs_up_verifies_and_is_told(backend: Backend) {
    let app = TestApp::with(backend, options()).await;
    let ann = Caller::new(&app);
    let body = json!({"phone": "919876543210", "password": PASSWORD, "data": {"nick": "Annie"}, "channel": "sms",
        "gotrue_meta_security": {}, "code_challenge": null, "code_challenge_method": null});
    let pending = ann.post("/signup", body).await.is(200);
    assert_eq!((&pending["phone"], &pending["email"]), (&json!("919876543210"), &json!("")));
    assert_eq!((&pending["aud"], &pending["role"]), (&json!("authenticated"), &json!("authenticated")));
    assert_eq!((&pending["user_metadata"], &pending["identities"]), (&json!({"nick": "Annie"}), &json!([])));
    assert!(pending["phone_confirmed_at"].is_null() && pending["access_token"].is_null());

    let token = read_code(&app, "+919876543210", 1).await;
    let guess = |token: &str| json!({"type": "sms", "phone": "919876543210", "token": token});
    for wrong in [&other_than(&token), "12", "x1-y2!z3", "1234567890"] {
        refused(ann.post("/verify", guess(wrong)).await, 403, "otp_expired");
    }
    let session = ann.post("/verify", guess(&token)).await.is(200);
    assert_eq!((&session["token_type"], &session["user"]["id"]), (&json!("bearer"), &pending["id"]));
    let ends = app.now().seconds() + session["expires_in"].as_i64().unwrap();
    assert!((ends - 5..=ends).contains(&session["expires_at"].as_i64().unwrap()), "{session}");
    assert!(session["user"]["phone_confirmed_at"].is_string() && session["user"]["confirmed_at"].is_string());
    assert_eq!(session["user"]["app_metadata"], json!({"provider": "phone", "providers": ["phone"]}));
    refused(ann.post("/verify", guess(&token)).await, 403, "otp_expired");

    let user = ann.me(&session).await.is(200);
    assert_eq!(user["user_metadata"], json!({"nick": "Annie"}));
    assert_eq!((&user["id"], &user["is_anonymous"]), (&pending["id"], &json!(false)));
    // It is the same account by the API's own calls.
    assert_eq!(app.me(session["access_token"].as_str().unwrap()).await.is(200)["mobile"], "+919876543210");
}

/// A request with the version that today's clients ask for.
fn versioned(request: RequestBuilder) -> RequestBuilder {
    request.header("x-supabase-api-version", "2024-01-01")
}

async fn errors_have_two_forms(backend: Backend) {
    let app = TestApp::with(backend, options()).await;
    let ann = Caller::new(&app);
    let json_body = |path: &str, body: &Value| ann.request(Method::POST, path).json(body);
    let raw = |path: &str, kind: &str, body: String| {
        ann.request(Method::POST, path).header("content-type", kind.to_owned()).body(body)
    };
    let short = json!({"phone": "919876543210", "password": "short"});
    let guess = json!({"phone": "919876543210", "token": "123456", "type": "sms"});
    let of_link = json!({"token_hash": "x", "type": "email"});
    let pkce = json!({"auth_code": "x", "code_verifier": "y"});
    let cases: Vec<(RequestBuilder, u16, &str)> = vec![
        (json_body("/signup", &short), 422, "weak_password"),
        (json_body("/signup", &json!({"phone": "12", "password": PASSWORD})), 422, "validation_failed"),
        (json_body("/signup", &json!({"phone": "919876543210"})), 422, "validation_failed"),
        (json_body("/signup", &json!({"data": {}})), 400, "feature_disabled"),
        (json_body("/verify", &guess), 403, "otp_expired"),
        (json_body("/verify", &of_link), 400, "feature_disabled"),
        (json_body("/verify", &json!({"phone": "919876543210", "token": "1", "type": "email"})), 422, "validation_failed"),
        (json_body("/token?grant_type=pkce", &pkce), 400, "feature_disabled"),
        (json_body("/token?grant_type=id_token", &pkce), 400, "feature_disabled"),
        (json_body("/token?grant_type=web3", &pkce), 400, "feature_disabled"),
        (json_body("/token", &pkce), 422, "validation_failed"),
        (json_body("/token?grant_type=refresh_token", &json!({"refresh_token": "x"})), 400, "refresh_token_not_found"),
        (json_body("/logout", &json!({})), 401, "no_authorization"),
        (ann.request(Method::GET, "/user"), 401, "no_authorization"),
        (ann.request(Method::GET, "/user").bearer_auth("x.y.z"), 403, "bad_jwt"),
        (raw("/signup", "application/json", "{".to_owned()), 400, "bad_json"),
        (raw("/signup", "application/json", r#"{"a":1,"a":2}"#.to_owned()), 400, "bad_json"),
        (raw("/signup", "text/plain", "{}".to_owned()), 415, "bad_json"),
        (raw("/signup", "application/json", "x".repeat(20_000)), 413, "bad_json"),
        (ann.request(Method::GET, "/verify?token=x&type=signup"), 405, "feature_disabled"),
        (ann.request(Method::GET, "/authorize?provider=google"), 404, "feature_disabled"),
        (ann.request(Method::GET, "/callback"), 404, "feature_disabled"),
        (json_body("/sso", &json!({})), 404, "feature_disabled"),
        (json_body("/factors", &json!({})), 404, "feature_disabled"),
        (json_body("/factors/x/verify", &json!({})), 404, "feature_disabled"),
        (json_body("/passkeys/x", &json!({})), 404, "feature_disabled"),
        (ann.request(Method::GET, "/oauth/authorizations/x"), 404, "feature_disabled"),
        (ann.request(Method::GET, "/admin/users"), 404, "feature_disabled"),
        (ann.request(Method::GET, ""), 404, "feature_disabled"),
    ];
    for (request, status, code) in cases {
        let again = request.try_clone().unwrap();
        let first = app.send(request).await;
        assert_eq!(first.header("x-supabase-api-version"), None);
        assert_eq!(first.header("www-authenticate").is_some(), status == 401, "{first:#?}");
        let old = refused(first, status, code);
        let newer = app.send(versioned(again)).await;
        assert_eq!(newer.header("x-supabase-api-version"), Some("2024-01-01"));
        assert!(newer.header("x-request-id").is_some() && newer.header("x-content-type-options").is_some());
        let newer = newer.is(status);
        assert_eq!((&newer["code"], &newer["message"]), (&json!(code), &old["msg"]), "{newer}");
        assert_eq!(newer["weak_password"], old["weak_password"]);
        assert_eq!(old["weak_password"].is_object(), code == "weak_password", "{old}");
        for ours in ["mobile", "verification_id", "otp "] {
            assert!(!old["msg"].as_str().unwrap().contains(ours), "{old}");
        }
    }
    let health = app.send(versioned(ann.request(Method::GET, "/health"))).await;
    assert_eq!(health.header("x-supabase-api-version"), Some("2024-01-01"));
    // Elsewhere all is as ever.
    app.send(versioned(app.http.get(format!("{}/nothing", app.base)))).await.is_problem(404, "not_found");
    let own = TestApp::start(backend).await;
    let url = format!("{}/auth/v1/signup", own.base);
    own.send(own.http.post(url).json(&short)).await.is_problem(404, "not_found");
}

async fn pages_elsewhere_may_put(backend: Backend) {
    const ORIGIN: &str = "https://app.example.com";
    let app = TestApp::with(backend, options().with("ENROLL__SERVER__CORS_ORIGINS", ORIGIN)).await;
    let preflight = async |path: &str| {
        let asked = app.http.request(Method::OPTIONS, format!("{}{path}", app.base)).header("origin", ORIGIN);
        let asked = asked.header("access-control-request-method", "PUT");
        app.send(asked.header("access-control-request-headers", "apikey,x-client-info")).await
    };
    let theirs = preflight("/auth/v1/user").await;
    let allowed = |answer: &Answer, name: &str| answer.header(name).unwrap_or_default().to_ascii_lowercase();
    assert_eq!(theirs.header("access-control-allow-origin"), Some(ORIGIN));
    for method in ["get", "post", "put", "patch", "delete"] {
        assert!(allowed(&theirs, "access-control-allow-methods").contains(method), "{theirs:#?}");
    }
    for name in ["apikey", "x-client-info", "x-supabase-api-version", "authorization", "content-type"] {
        assert!(allowed(&theirs, "access-control-allow-headers").contains(name), "{theirs:#?}");
    }
    let ours = preflight("/api/v1/users/me").await;
    assert!(!allowed(&ours, "access-control-allow-methods").contains("put"), "{ours:#?}");
    assert!(!allowed(&ours, "access-control-allow-headers").contains("apikey"), "{ours:#?}");
    let ann = Caller::new(&app);
    let refused = app.send(ann.request(Method::GET, "/user").header("origin", ORIGIN)).await;
    let exposed = allowed(&refused, "access-control-expose-headers");
    assert!(exposed.contains("x-supabase-api-version") && exposed.contains("retry-after"), "{refused:#?}");
    assert_eq!((refused.status, refused.header("access-control-allow-origin")), (401, Some(ORIGIN)));
}

fn guess(phone: &str, token: &str) -> Value {
    json!({"type": "sms", "phone": phone, "token": token})
}

async fn a_request_is_one_attempt_at_one_code(backend: Backend) {
    let app = TestApp::with(backend, options().with("ENROLL__REGISTRATIONS__PASSWORD", "optional")).await;
    let (ann, eve, phone) = (Caller::new(&app), Caller::new(&app), "919876543210");
    ann.post("/signup", json!({"phone": phone, "password": PASSWORD})).await.is(200);
    let of_registration = read_code(&app, "+919876543210", 1).await;
    // A stranger's code to the same phone is newer, and another's.
    eve.post("/otp", json!({"phone": phone})).await.is(200);
    let of_login = read_code(&app, "+919876543210", 2).await;
    assert_ne!(of_registration, of_login);
    refused(ann.post("/verify", guess(phone, &of_login)).await, 403, "otp_expired");
    for _ in 0..4 {
        refused(ann.post("/verify", guess(phone, &other_than(&of_registration))).await, 403, "otp_expired");
    }
    refused(ann.post("/verify", guess(phone, &of_registration)).await, 429, "over_request_rate_limit");
    // All of them were at the registration: the other code has its own attempts, two of three wrong.
    for _ in 0..2 {
        refused(eve.post("/verify", guess(phone, &other_than(&of_login))).await, 403, "otp_expired");
    }
    let session = eve.post("/verify", guess(phone, &of_login)).await.is(200);
    assert_eq!(session["user"]["phone"], phone);
}

async fn a_registration_of_elsewhere_is_meant_if_it_is_alone(backend: Backend) {
    let app = TestApp::with(backend, options().with("ENROLL__REGISTRATIONS__PASSWORD", "optional")).await;
    let (ann, bob, phone) = (Caller::new(&app), Caller::new(&app), "919876543210");
    ann.post("/signup", json!({"phone": phone, "password": PASSWORD})).await.is(200);
    let token = read_code(&app, "+919876543210", 1).await;
    // Bob's network asked for a login code, which is meant first; it ends in two minutes.
    bob.post("/otp", json!({"phone": phone})).await.is(200);
    refused(bob.post("/verify", guess(phone, &token)).await, 403, "otp_expired");
    app.advance(121);
    let session = bob.post("/verify", guess(phone, &token)).await.is(200);
    assert_eq!(session["user"]["phone"], phone);

    // Of two from elsewhere none is meant; each is still good from where it was made.
    let phone = "919876543211";
    ann.post("/signup", json!({"phone": phone, "password": PASSWORD})).await.is(200);
    let anns = read_code(&app, "+919876543211", 1).await;
    app.advance(31);
    let eve = Caller::new(&app);
    eve.post("/signup", json!({"phone": phone, "password": "a better horse"})).await.is(200);
    let eves = read_code(&app, "+919876543211", 2).await;
    for token in [&anns, &eves] {
        refused(bob.post("/verify", guess(phone, token)).await, 403, "otp_expired");
    }
    refused(bob.post("/resend", json!({"type": "sms", "phone": phone})).await, 409, "conflict");
    let session = ann.post("/verify", guess(phone, &anns)).await.is(200);
    assert_eq!(session["user"]["phone"], phone);
    refused(eve.post("/verify", guess(phone, &eves)).await, 403, "otp_expired");
    let login = json!({"phone": phone, "password": "a better horse"});
    refused(eve.post("/token?grant_type=password", login).await, 400, "invalid_credentials");
}

async fn a_contact_is_changed_from_where_it_was_asked_for(backend: Backend) {
    let app = TestApp::with(backend, options()).await;
    let (ann, elsewhere) = (Caller::new(&app), Caller::new(&app));
    let session = ann.account("919876543210").await;
    let email = json!({"email": "ann@example.com"});
    let asked = ann.as_owner(Method::PUT, "/user", &session, email.clone()).await.is(200);
    assert_eq!((&asked["email"], &asked["new_email"]), (&json!(""), &json!("ann@example.com")));
    let token = read_code(&app, "ann@example.com", 1).await;
    let body = |token: &str| json!({"type": "email_change", "email": "ann@example.com", "token": token});
    refused(elsewhere.post("/verify", body(&token)).await, 403, "otp_expired");
    refused(ann.post("/verify", body(&other_than(&token))).await, 403, "otp_expired");
    // It is no code for anything else.
    for kind in ["email", "signup", "recovery"] {
        let other = json!({"type": kind, "email": "ann@example.com", "token": token});
        refused(ann.post("/verify", other).await, 403, "otp_expired");
    }
    let changed = ann.post("/verify", body(&token)).await.is(200);
    assert_eq!((&changed["user"]["email"], &changed["user"]["new_email"]), (&json!("ann@example.com"), &Value::Null));
    assert_eq!(claims(&changed)["session_id"], claims(&session)["session_id"], "it is the session that asked");
    assert_ne!(changed["refresh_token"], session["refresh_token"]);
    ann.me(&changed).await.is(200);
    refused(ann.post("/verify", body(&token)).await, 403, "otp_expired");

    // With its session the request ends.
    let asked = ann.as_owner(Method::PUT, "/user", &changed, json!({"phone": "919876543219"})).await.is(200);
    assert_eq!(asked["new_phone"], "919876543219");
    let token = read_code(&app, "+919876543219", 1).await;
    ann.as_owner(Method::POST, "/logout?scope=local", &changed, json!({})).await.is(204);
    let body = json!({"type": "phone_change", "phone": "919876543219", "token": token});
    refused(ann.post("/verify", body).await, 403, "otp_expired");
    // From elsewhere nothing is sent anew either, and the answer is the same.
    let resend = json!({"type": "phone_change", "phone": "919876543219"});
    for caller in [&ann, &elsewhere] {
        assert_eq!(caller.post("/resend", resend.clone()).await.is(200), json!({}));
    }
    app.outbox_is_empty().await;
    assert_eq!(app.application.inbox.as_ref().unwrap().messages(Some("+919876543219")).len(), 1);
}

/// The claims of the access token.
fn claims(session: &Value) -> Value {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let payload = session["access_token"].as_str().unwrap().split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

async fn a_token_says_more_of_its_session_under_the_prefix_alone(backend: Backend) {
    let app = TestApp::with(backend, options()).await;
    let ann = Caller::new(&app);
    let session = ann.account("919876543210").await;
    let told = claims(&session);
    assert_eq!((&told["role"], &told["aal"]), (&json!("authenticated"), &json!("aal1")));
    assert_eq!((&told["session_id"], &told["amr"][0]["method"]), (&told["sid"], &json!("otp")));
    assert!(told["email"].is_null() && told["phone"].is_null());
    let refresh = json!({"refresh_token": session["refresh_token"]});
    let by_api = app.post_from(&fresh_ip(), "/auth/refresh", refresh).await.is(200);
    assert!(claims(&by_api)["role"].is_null() && claims(&by_api)["amr"].is_null(), "elsewhere as ever");
    let refresh = json!({"refresh_token": by_api["refresh_token"]});
    let refreshed = ann.post("/token?grant_type=refresh_token", refresh).await.is(200);
    assert_eq!(claims(&refreshed)["amr"], told["amr"], "it was opened then, and so");
    let login = json!({"phone": "+919876543210", "password": PASSWORD});
    let by_password = ann.post("/token?grant_type=password", login).await.is(200);
    assert_eq!(claims(&by_password)["amr"][0]["method"], "password");
    assert!(by_password["user"]["last_sign_in_at"].is_string());
}

async fn what_is_sent_in_vain_is_answered_alike(backend: Backend) {
    let app = TestApp::with(backend, options()).await;
    let ann = Caller::new(&app);
    ann.account("919876543210").await;
    app.advance(31);
    for (path, known, unknown) in [
        ("/otp", json!({"phone": "919876543210"}), json!({"phone": "919876543211"})),
        ("/otp", json!({"email": "a@example.com", "create_user": false}), json!({"email": "b@example.com"})),
        ("/recover", json!({"phone": "919876543210"}), json!({"email": "c@example.com"})),
    ] {
        for body in [known, unknown] {
            assert_eq!(Caller::new(&app).post(path, body).await.is(200), json!({}));
        }
    }
    let nothing = json!({"type": "signup", "email": "d@example.com"});
    assert_eq!(ann.post("/resend", nothing).await.is(200), json!({}));
    app.outbox_is_empty().await;
    let sent = app.application.inbox.as_ref().unwrap().messages(None).len();
    assert_eq!(sent, 3, "one to sign up, and two to who has an account");
}

async fn a_taken_address_does_not_show_where_accounts_are_concealed(backend: Backend) {
    let app = TestApp::with(backend, options().with("ENROLL__PRIVACY__CONCEAL_ACCOUNTS", true)).await;
    let (ann, eve) = (Caller::new(&app), Caller::new(&app));
    let first = ann.account("919876543210").await;
    app.advance(90_000);
    let sign_up = |phone: &str| json!({"phone": phone, "password": "a better horse"});
    let keys = |user: &Value| user.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let taken = eve.post("/signup", sign_up("919876543210")).await.is(200);
    let free = Caller::new(&app).post("/signup", sign_up("919876543219")).await.is(200);
    assert_eq!(keys(&taken), keys(&free));
    assert_ne!(taken["id"], first["user"]["id"]);
    assert!(taken["phone_confirmed_at"].is_null());

    // The change to a taken address waits like another, and ends like another.
    let eves = eve.account("919876543212").await;
    for phone in ["919876543210", "919876543218"] {
        let asked = eve.as_owner(Method::PUT, "/user", &eves, json!({"phone": phone})).await.is(200);
        assert_eq!(asked["new_phone"], phone);
    }
    let password = json!({"password": "a better horse"});
    let updated = eve.as_owner(Method::PUT, "/user", &eves, password).await.is(200);
    assert!(updated["new_phone"].is_null(), "{updated}");
}

async fn an_update_takes_several_things_at_once(backend: Backend) {
    let app = TestApp::with(backend, options()).await;
    let ann = Caller::new(&app);
    let session = ann.account("919876543210").await;
    let all = json!({"password": "a better horse", "email": "ann@example.com", "phone": "919876543210",
        "data": {"a": {"b": 1, "c": 2}}, "nonce": null, "code_challenge": null});
    let user = ann.as_owner(Method::PUT, "/user", &session, all).await.is(200);
    assert_eq!((&user["new_email"], &user["new_phone"]), (&json!("ann@example.com"), &Value::Null));
    assert_eq!(user["user_metadata"], json!({"a": {"b": 1, "c": 2}}));
    // The change outlives the password that came with it.
    let token = read_code(&app, "ann@example.com", 1).await;
    let proof = json!({"type": "email_change", "email": "ann@example.com", "token": token});
    let session = ann.post("/verify", proof).await.is(200);
    let nothing = json!({"email": "", "phone": null, "password": null, "data": null});
    let user = ann.as_owner(Method::PUT, "/user", &session, nothing).await.is(200);
    assert_eq!((&user["email"], &user["user_metadata"]["a"]["c"]), (&json!("ann@example.com"), &json!(2)));
    let merged = json!({"data": {"a": {"b": null}}});
    let user = ann.as_owner(Method::PUT, "/user", &session, merged).await.is(200);
    assert_eq!(user["user_metadata"], json!({"a": {"c": 2}}));
    let login = json!({"email": "ann@example.com", "password": "a better horse"});
    let by_password = ann.post("/token?grant_type=password", login).await.is(200);
    // That session is fresh enough for a contact, and not for a password.
    let change = json!({"password": "the best horse"});
    let refusal = ann.as_owner(Method::PUT, "/user", &by_password, change.clone()).await;
    refused(refusal, 400, "reauthentication_needed");
    app.advance(301);
    let contact = json!({"phone": "919876543211"});
    let refusal = ann.as_owner(Method::PUT, "/user", &by_password, contact.clone()).await;
    refused(refusal, 400, "reauthentication_needed");
    let mut with_current = contact;
    with_current["current_password"] = "wrong horse".into();
    refused(ann.as_owner(Method::PUT, "/user", &by_password, with_current.clone()).await, 400, "invalid_credentials");
    with_current["current_password"] = "a better horse".into();
    ann.as_owner(Method::PUT, "/user", &by_password, with_current).await.is(200);
}

async fn sessions_end_by_scope(backend: Backend) {
    let app = TestApp::with(backend, options()).await;
    let ann = Caller::new(&app);
    let first = ann.account("919876543210").await;
    let login = json!({"phone": "919876543210", "password": PASSWORD});
    let mut sessions = vec![first];
    for _ in 0..2 {
        sessions.push(ann.post("/token?grant_type=password", login.clone()).await.is(200));
    }
    let out = async |session: &Value, scope: &str| ann.as_owner(Method::POST, scope, session, json!({})).await;
    refused(out(&sessions[0], "/logout?scope=some").await, 422, "validation_failed");
    out(&sessions[0], "/logout?scope=others").await.is(204);
    ann.me(&sessions[0]).await.is(200);
    for ended in &sessions[1..] {
        refused(ann.me(ended).await, 403, "session_not_found");
        let refresh = json!({"refresh_token": ended["refresh_token"]});
        refused(ann.post("/token?grant_type=refresh_token", refresh).await, 400, "refresh_token_not_found");
    }
    let second = ann.post("/token?grant_type=password", login.clone()).await.is(200);
    out(&second, "/logout?scope=local").await.is(204);
    refused(ann.me(&second).await, 403, "session_not_found");
    ann.me(&sessions[0]).await.is(200);
    let third = ann.post("/token?grant_type=password", login).await.is(200);
    out(&third, "/logout").await.is(204);
    refused(ann.me(&sessions[0]).await, 403, "session_not_found");
}

async fn limits_are_told_by_channel(backend: Backend) {
    let app = TestApp::with(backend, options()).await;
    for (address, code) in [
        (json!({"phone": "919876543210"}), "over_sms_send_rate_limit"),
        (json!({"email": "ann@example.com"}), "over_email_send_rate_limit"),
    ] {
        for path in ["/otp", "/recover"] {
            Caller::new(&app).post(path, address.clone()).await.is(200);
            let answer = Caller::new(&app).post(path, address.clone()).await;
            let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
            assert!((1..=30).contains(&wait), "{wait}");
            refused(answer, 429, code);
        }
    }
    // Wrong passwords are of no channel.
    let ann = Caller::new(&app);
    let wrong = json!({"phone": "919876543219", "password": "wrong horse"});
    for _ in 0..10 {
        refused(ann.post("/token?grant_type=password", wrong.clone()).await, 400, "invalid_credentials");
    }
    refused(ann.post("/token?grant_type=password", wrong).await, 429, "over_request_rate_limit");
}

async fn the_service_tells_what_it_is(backend: Backend) {
    let app = TestApp::with(backend, options().with("ENROLL__REGISTRATIONS__OPEN", false)).await;
    let ann = Caller::new(&app);
    let get = async |path: &str| app.send(ann.request(Method::GET, path)).await.is(200);
    let settings = get("/settings").await;
    let external = settings["external"].as_object().unwrap();
    let mut offered: Vec<_> = external.iter().filter(|(_, is)| **is == true).map(|(name, _)| name.as_str()).collect();
    offered.sort_unstable();
    assert_eq!((offered, &settings["disable_signup"]), (vec!["email", "phone"], &json!(true)));
    assert_eq!(get("/health").await["name"], "Enroll");
    assert_eq!(get("/.well-known/jwks.json").await, json!({"keys": []}));
    let body = json!({"phone": "919876543210", "password": PASSWORD});
    refused(ann.post("/signup", body).await, 422, "signup_disabled");
    let challenge = ann.post("/challenge", json!({"phone": "919876543210"})).await.is(200);
    assert_eq!(challenge["challenge"]["kind"], "pow");
}

async fn a_fault_is_one_of_the_server(backend: Backend) {
    let app = TestApp::with(backend, options()).await;
    let ann = Caller::new(&app);
    let session = ann.account("919876543210").await;
    let mut held = app.lock_database().await;
    let login = json!({"phone": "919876543210", "password": PASSWORD});
    let answer = ann.post("/token?grant_type=password", login).await;
    assert!(answer.header("retry-after").is_some(), "{answer:#?}");
    let status = answer.status;
    assert!(status == 503 || status == 504, "{answer:#?}");
    refused(answer, status, if status == 504 { "request_timeout" } else { "unexpected_failure" });
    held.execute("ROLLBACK").await;
    // Nobody was logged out.
    let started = std::time::Instant::now();
    while ann.me(&session).await.status != 200 {
        assert!(started.elapsed().as_secs() < 10, "it comes back");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

async fn under_camel_case_it_stays_itself(backend: Backend) {
    let app = TestApp::with(backend, options().with("ENROLL__SERVER__CAMEL_PREFIXES", "/")).await;
    let ann = Caller::new(&app);
    let session = ann.account("919876543210").await;
    assert!(session["access_token"].is_string() && session["user"]["user_metadata"].is_object());
    refused(app.send(ann.request(Method::GET, "/factors")).await, 404, "feature_disabled");
    refused(app.send(ann.request(Method::GET, "/user")).await, 401, "no_authorization");
}

async fn attempts_here_leave_those_of_who_has_the_id(backend: Backend) {
    let app = TestApp::with(backend, options()).await;
    let (ann, phone) = (Caller::new(&app), "919876543210");
    ann.post("/signup", json!({"phone": phone, "password": PASSWORD})).await.is(200);
    let token = read_code(&app, "+919876543210", 1).await;
    for _ in 0..5 {
        refused(ann.post("/verify", guess(phone, &other_than(&token))).await, 403, "otp_expired");
    }
    refused(ann.post("/verify", guess(phone, &token)).await, 429, "over_request_rate_limit");
    let inbox = app.application.inbox.as_ref().unwrap().messages(Some("+919876543210"));
    let id = inbox[0].verification_id.unwrap();
    app.post_from(&fresh_ip(), "/auth/verify-otp", json!({"verification_id": id, "otp": token})).await.is(200);
}
