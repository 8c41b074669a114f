//! The GoTrue dialect over HTTP: what its client libraries do not show.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::{
    Answer, Backend, Options, TestApp,
    app::{fresh_ip, other_than},
};

stories!(a_person_signs_up_verifies_and_is_told);

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
    for wrong in [&other_than(&token), "12", "letters", "1234567890"] {
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
