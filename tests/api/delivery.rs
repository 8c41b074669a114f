//! Messages find their way although providers fail.

use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::support::{
    Backend, Options, TestApp,
    app::fresh_ip,
    fake_provider::{Answers, Gateway, Received},
    servers::free_port,
};

stories!(
    a_webhook_is_signed_by_both_secrets,
    a_webhook_gets_all_that_a_template_needs,
    an_app_finds_its_hash_at_the_end_of_the_text,
    the_hash_of_an_app_brings_no_message_of_its_own,
    the_hash_of_an_app_counts_among_the_segments,
    a_code_to_log_in_comes_in_the_persons_language,
    twilio_gets_what_its_api_takes,
    the_second_provider_takes_what_the_first_refuses,
    the_second_provider_takes_what_the_first_hangs_on,
    a_number_that_can_never_work_ends_failed,
    a_provider_that_wants_time_gets_it,
    a_slow_provider_delays_nobody_elses_message,
    twilio_reports_what_was_delivered,
    operators_see_what_waits_and_what_comes_back,
);

const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const PREVIOUS: &str = "whsec_HxwdHBsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA=";
const SID: &str = "AC00000000000000000000000000000001";

fn real() -> Options {
    Options::unlimited().with("ENROLL__NOTIFY__INBOX", "false")
}

fn webhook(options: Options, gateway: &Gateway) -> Options {
    options
        .with("ENROLL__NOTIFY__WEBHOOK__URL", format!("{}/hook", gateway.url))
        .with("ENROLL__NOTIFY__WEBHOOK__SECRET", SECRET)
}

fn twilio(options: Options, gateway: &Gateway) -> Options {
    options
        .with("ENROLL__NOTIFY__TWILIO__ACCOUNT_SID", SID)
        .with("ENROLL__NOTIFY__TWILIO__AUTH_TOKEN", "a secret token of twilio's")
        .with("ENROLL__NOTIFY__TWILIO__FROM", "+15005550006")
        .with("ENROLL__NOTIFY__TWILIO__BASE_URL", &gateway.url)
}

/// The code in what a provider was sent.
fn code(received: &Received) -> String {
    let body = received.body.replace('+', " ");
    let at = body.find("Enroll: ").or(body.find("Enroll%3A ")).unwrap_or_else(|| panic!("{body}"));
    body[at..].split(' ').nth(1).unwrap().to_owned()
}

async fn register(app: &TestApp, mobile: &str) -> Value {
    let body = json!({"mobile": mobile, "password": "correct horse"});
    app.post_from(&fresh_ip(), "/auth/register", body).await.is(202)
}

async fn verifies(app: &TestApp, registered: &Value, otp: &str) {
    let body = json!({"verification_id": registered["verification"]["verification_id"], "otp": otp});
    app.post_from(&fresh_ip(), "/auth/verify-otp", body).await.is(200);
}

async fn state_becomes(app: &TestApp, registered: &Value, state: &str) {
    let id = registered["verification"]["verification_id"].as_str().unwrap();
    let started = Instant::now();
    loop {
        let told = app.get(&format!("/auth/verifications/{id}")).await.is(200);
        if told["state"] == state {
            return;
        }
        assert!(started.elapsed().as_secs() < 10, "{told:#}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn a_webhook_is_signed_by_both_secrets(backend: Backend) {
    let gateway = Gateway::start(Answers::With(204, "")).await;
    let options = webhook(real(), &gateway)
        .with("ENROLL__NOTIFY__WEBHOOK__PREVIOUS_SECRET", PREVIOUS)
        .with("ENROLL__NOTIFY__SMS", "webhook")
        .with("ENROLL__NOTIFY__EMAIL", "webhook");
    let app = TestApp::with(backend, options).await;
    let registered = register(&app, "9876543210").await;
    let received = gateway.wait_for(1).await.remove(0);
    let header = |name: &str| received.headers[name].to_str().unwrap();
    let (id, timestamp) = (header("webhook-id"), header("webhook-timestamp"));
    let signatures: Vec<&str> = header("webhook-signature").split(' ').collect();
    for (secret, signature) in [SECRET, PREVIOUS].iter().zip(&signatures) {
        let key = STANDARD.decode(secret.trim_start_matches("whsec_")).unwrap();
        let signed = format!("{id}.{timestamp}.{}", received.body);
        let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), signed.as_bytes());
        assert_eq!(*signature, format!("v1,{}", STANDARD.encode(mac)));
    }
    assert_eq!((received.path.as_str(), signatures.len()), ("/hook", 2));
    let body: Value = serde_json::from_str(&received.body).unwrap();
    assert_eq!((&body["type"], &body["data"]["to"]), (&json!("message.send"), &json!("+919876543210")));
    assert_eq!((&body["data"]["channel"], &body["data"]["purpose"]), (&json!("sms"), &json!("registration")));
    state_becomes(&app, &registered, "sent").await;
    verifies(&app, &registered, &code(&received)).await;
    // Emails go the same way.
    let body = json!({"email": "ann@example.com", "password": "correct horse"});
    app.post_from(&fresh_ip(), "/auth/register", body).await.is(202);
    let body: Value = serde_json::from_str(&gateway.wait_for(2).await[1].body).unwrap();
    assert_eq!(body["data"]["channel"], "email");
    let code = body["data"]["text"].as_str().unwrap().split_whitespace().next().unwrap();
    let subject = format!("{code} is your Enroll code");
    assert_eq!(body["data"]["subject"], subject);
}

const APP: &str = "FA+9qCX9VSu";

fn with_apps(gateway: &Gateway) -> Options {
    webhook(real(), gateway)
        .with("ENROLL__NOTIFY__SMS", "webhook")
        .with("ENROLL__NOTIFY__EMAIL", "webhook")
        .with("ENROLL__NOTIFY__WEBOTP_DOMAIN", "example.com")
        .with("ENROLL__NOTIFY__ANDROID_APPS", format!("{APP},0123456789/"))
        .with("ENROLL__NOTIFY__BRAND", "Acme")
}

/// The `data` of the last message.
async fn last(gateway: &Gateway, count: usize) -> Value {
    let received = gateway.wait_for(count).await;
    serde_json::from_str::<Value>(&received.last().unwrap().body).unwrap()["data"].clone()
}

async fn a_webhook_gets_all_that_a_template_needs(backend: Backend) {
    let gateway = Gateway::start(Answers::With(204, "")).await;
    let app = TestApp::with(backend, with_apps(&gateway)).await;
    let body = json!({"mobile": "9876543210", "password": "correct horse", "locale": "hi-IN", "app_hash": APP});
    let registered = app.post_from(&fresh_ip(), "/auth/register", body).await.is(202);
    let data = last(&gateway, 1).await;
    let names: Vec<&str> = data.as_object().unwrap().keys().map(String::as_str).collect();
    let all = [
        "app_hash", "brand", "channel", "code", "country", "expires_at", "html", "id", "locale", "purpose", "subject",
        "text", "to", "verification_id",
    ];
    assert_eq!(names, all);
    for (name, value) in [
        ("channel", json!("sms")),
        ("to", json!("+919876543210")),
        ("country", json!("IN")),
        ("purpose", json!("registration")),
        ("locale", json!("hi")),
        ("html", Value::Null),
        ("brand", json!("Acme")),
        ("verification_id", registered["verification"]["verification_id"].clone()),
        ("app_hash", json!(APP)),
    ] {
        assert_eq!(data[name], value, "{name}");
    }
    let code = data["code"].as_str().unwrap();
    assert!(data["text"].as_str().unwrap().contains(code));
    verifies(&app, &registered, code).await;

    let email = json!({"email": "ann@example.com", "password": "correct horse", "app_hash": APP});
    app.post_from(&fresh_ip(), "/auth/register", email).await.is(202);
    let data = last(&gateway, 2).await;
    assert_eq!((&data["channel"], &data["country"]), (&json!("email"), &Value::Null));
    assert_eq!(data["app_hash"], Value::Null, "for text messages alone");
    assert!(!data["text"].as_str().unwrap().contains(APP) && data["html"].is_string() && data["subject"].is_string());
}

async fn an_app_finds_its_hash_at_the_end_of_the_text(backend: Backend) {
    let gateway = Gateway::start(Answers::With(204, "")).await;
    let app = TestApp::with(backend, with_apps(&gateway)).await;
    let post = async |path: &str, body: Value| app.post_from(&fresh_ip(), path, body).await;
    let mut count = 0;
    let mut text = async || {
        count += 1;
        last(&gateway, count).await["text"].as_str().unwrap().to_owned()
    };
    let registered =
        post("/auth/register", json!({"mobile": "9876543210", "password": "correct horse", "app_hash": APP})).await.is(202);
    let first = text().await;
    assert!(first.ends_with(&format!("\n\n{APP}")) && !first.contains("@example.com"), "{first}");
    assert!(first.len() <= 140, "the SMS Retriever reads no more");
    // Each request has its own: a browser that asks again gets the line that it reads.
    let id = registered["verification"]["verification_id"].clone();
    post("/auth/resend-otp", json!({"verification_id": id})).await.is(200);
    let second = text().await;
    assert!(second.contains("\n\n@example.com #"), "{second}");
    post("/auth/resend-otp", json!({"verification_id": id, "app_hash": "0123456789/"})).await.is(200);
    let third = text().await;
    assert!(third.ends_with("\n\n0123456789/"), "{third}");
    let code = third.split(' ').nth(1).unwrap();
    verifies(&app, &registered, code).await;
    post("/auth/send-otp", json!({"mobile": "9876543210", "app_hash": APP})).await.is(200);
    assert!(text().await.ends_with(APP));

    for (hash, code) in [("FA+9qCX9VSv", "unknown"), ("FA+9qCX9VS", "invalid"), ("FA+9qCX9VS=", "invalid")] {
        let fields = [("app_hash", code)];
        let register = json!({"mobile": "9876543211", "password": "correct horse", "app_hash": hash});
        post("/auth/register", register).await.is_invalid(&fields);
        post("/auth/send-otp", json!({"mobile": "9876543210", "app_hash": hash})).await.is_invalid(&fields);
        post("/auth/resend-otp", json!({"mobile": "9876543211", "app_hash": hash})).await.is_invalid(&fields);
    }
}

async fn the_hash_of_an_app_brings_no_message_of_its_own(backend: Backend) {
    let gateway = Gateway::start(Answers::With(204, "")).await;
    let app = TestApp::with(backend, with_apps(&gateway).with("ENROLL__CODES__RESEND_AFTER", 30)).await;
    let register = json!({"mobile": "9876543210", "password": "correct horse"});
    let first = app.post_from(&fresh_ip(), "/auth/register", register.clone()).await.is(202);
    assert_eq!(last(&gateway, 1).await["app_hash"], Value::Null);
    // A double click, though the second one names an app.
    let mut again = register;
    again["app_hash"] = json!(APP);
    let second = app.post_from(&fresh_ip(), "/auth/register", again).await.is(202);
    assert_eq!(first["verification"]["verification_id"], second["verification"]["verification_id"]);
    // Nobody's numbers: the same answer as for an account's, and nothing goes out.
    let unknown = json!({"mobile": "9876543219", "app_hash": APP});
    let sent = app.post_from(&fresh_ip(), "/auth/send-otp", unknown.clone()).await.is(200);
    assert_eq!((&sent["status"], &sent["verification"]["purpose"]), (&json!("success"), &json!("login")));
    app.post_from(&fresh_ip(), "/auth/resend-otp", unknown).await.is(200);
    app.outbox_is_empty().await;
    assert_eq!(gateway.received().len(), 1);
}

async fn the_hash_of_an_app_counts_among_the_segments(backend: Backend) {
    let gateway = Gateway::start(Answers::With(204, "")).await;
    let admin = format!("127.0.0.1:{}", free_port());
    // In Hindi two segments hold the text and this brand, but not the line of the hash too.
    let options = webhook(real(), &gateway)
        .with("ENROLL__NOTIFY__SMS", "webhook")
        .with("ENROLL__NOTIFY__ANDROID_APPS", APP)
        .with("ENROLL__NOTIFY__BRAND", "A".repeat(36))
        .with("ENROLL__ADMIN__ADDRESS", &admin);
    let app = TestApp::with(backend, options).await;
    let mut total = 0;
    for (n, (app_hash, segments)) in [(Value::Null, 2), (json!(APP), 3)].into_iter().enumerate() {
        // The metric is the process's: no other story sends to Portugal.
        let mobile = format!("+35191234567{n}");
        let body = json!({"mobile": mobile, "password": "correct horse", "locale": "hi", "app_hash": app_hash});
        app.post_from(&fresh_ip(), "/auth/register", body).await.is(202);
        app.outbox_is_empty().await;
        total += segments;
        let (out, errors, code) = app.command(&["deliveries", "stats", "--json"]).await;
        assert_eq!(code, 0, "{errors}");
        let stats: Value = serde_json::from_str(out.trim()).unwrap();
        assert_eq!((&stats["sent"], &stats["segments"]), (&json!(n + 1), &json!(total)), "{stats:#}");
        let scraped = reqwest::get(format!("http://{admin}/metrics")).await.unwrap().text().await.unwrap();
        let counted = format!("enroll_delivery_segments_total{{provider=\"webhook\",country=\"PT\"}} {total}");
        assert!(scraped.lines().any(|line| line == counted), "{counted}: {scraped}");
    }
}

async fn a_code_to_log_in_comes_in_the_persons_language(backend: Backend) {
    let app = TestApp::with(backend, Options::unlimited()).await;
    app.import("mobile,locale\n9876543210,hi\n9876543211,\n").await;
    for (mobile, locale, word) in [
        ("9876543210", json!("fr"), "लॉग इन"), // the account's own comes first
        ("9876543211", json!("fr"), "connecter"),
        ("9876543211", Value::Null, "log in"),
    ] {
        let sent = app.post_from(&fresh_ip(), "/auth/send-otp", json!({"mobile": mobile, "locale": locale})).await.is(200);
        let id = sent["verification"]["verification_id"].as_str().unwrap();
        app.code(id, 1).await;
        let text = &app.application.inbox.as_ref().unwrap().messages(Some(&format!("+91{mobile}")))[0].body;
        assert!(text.contains(word), "{mobile} {locale}: {text}");
    }
    let wrong = json!({"mobile": "9876543211", "locale": "no tag!"});
    app.post_from(&fresh_ip(), "/auth/send-otp", wrong).await.is_invalid(&[("locale", "invalid")]);
}

async fn twilio_gets_what_its_api_takes(backend: Backend) {
    let gateway = Gateway::start(Answers::With(201, r#"{"sid":"SM1","status":"queued"}"#)).await;
    let options = twilio(real(), &gateway).with("ENROLL__NOTIFY__SMS", "twilio");
    let app = TestApp::with(backend, options.clone()).await;
    let registered = register(&app, "9876543210").await;
    let received = gateway.wait_for(1).await.remove(0);
    assert_eq!(received.path, format!("/2010-04-01/Accounts/{SID}/Messages.json"));
    let basic = STANDARD.encode(format!("{SID}:a secret token of twilio's"));
    assert_eq!(received.headers["authorization"].to_str().unwrap(), format!("Basic {basic}"));
    let fields: Vec<(String, String)> = form_urlencoded::parse(received.body.as_bytes()).into_owned().collect();
    let field = |name: &str| fields.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str());
    assert_eq!((field("To"), field("From")), (Some("+919876543210"), Some("+15005550006")));
    let life: u64 = field("ValidityPeriod").unwrap().parse().unwrap();
    assert!((290..=300).contains(&life), "not after the code's end: {life}");
    assert_eq!(field("StatusCallback"), None, "nobody outside knows this server");
    verifies(&app, &registered, &code(&received)).await;

    let options = options
        .with("ENROLL__NOTIFY__TWILIO__FROM", "")
        .with("ENROLL__NOTIFY__TWILIO__MESSAGING_SERVICE_SID", "MG00000000000000000000000000000001")
        .with("ENROLL__NOTIFY__TWILIO__API_KEY", "SK01")
        .with("ENROLL__NOTIFY__TWILIO__API_SECRET", "a key's own secret")
        .with("ENROLL__SERVER__PUBLIC_URL", "https://enroll.example.com/");
    let app = TestApp::with(backend, options).await;
    register(&app, "9876543211").await;
    let received = gateway.wait_for(2).await.remove(1);
    let basic = STANDARD.encode("SK01:a key's own secret");
    assert_eq!(received.headers["authorization"].to_str().unwrap(), format!("Basic {basic}"));
    assert!(received.body.contains("MessagingServiceSid=MG0") && !received.body.contains("From="), "{}", received.body);
    assert!(received.body.contains("https%3A%2F%2Fenroll.example.com%2Fproviders%2Ftwilio%2Fstatus%3Fmessage%3D"));
}

async fn the_second_provider_takes_what_the_first_refuses(backend: Backend) {
    let first = Gateway::start(Answers::With(500, "")).await;
    let second = Gateway::start(Answers::With(201, "{}")).await;
    let options = twilio(webhook(real(), &first), &second).with("ENROLL__NOTIFY__SMS", "webhook,twilio");
    let app = TestApp::with(backend, options).await;
    for n in 0..8 {
        register(&app, &format!("987654321{n}")).await;
        second.wait_for(n + 1).await;
    }
    assert_eq!(first.received().len(), 5, "after five failures it is spared");
    first.answer(Answers::With(200, ""));
    app.advance(10);
    register(&app, "9876543218").await;
    register(&app, "9876543219").await;
    first.wait_for(7).await; // the probe, and the next
    app.outbox_is_empty().await;
    assert_eq!(second.received().len(), 8, "no message went both ways");
}

async fn the_second_provider_takes_what_the_first_hangs_on(backend: Backend) {
    let first = Gateway::start(Answers::Never).await;
    let second = Gateway::start(Answers::With(201, "{}")).await;
    let options = twilio(webhook(real(), &first), &second).with("ENROLL__NOTIFY__SMS", "webhook,twilio");
    let app = TestApp::with(backend, options).await;
    let started = Instant::now();
    let registered = register(&app, "9876543210").await;
    let received = second.wait_for(1).await.remove(0);
    assert!(received.at - started < Duration::from_secs(5), "{:?}", received.at - started);
    verifies(&app, &registered, &code(&received)).await;
}

async fn a_number_that_can_never_work_ends_failed(backend: Backend) {
    let refusal = r#"{"code":21614,"message":"'To' number is not a valid mobile number","status":400}"#;
    let gateway = Gateway::start(Answers::With(400, refusal)).await;
    let app = TestApp::with(backend, twilio(real(), &gateway).with("ENROLL__NOTIFY__SMS", "twilio")).await;
    let registered = register(&app, "9876543210").await;
    state_becomes(&app, &registered, "failed").await;
    // What is the provider's own trouble is tried again.
    gateway.answer(Answers::With(400, r#"{"code":21603,"message":"'From' is missing","status":400}"#));
    let registered = register(&app, "9876543211").await;
    gateway.wait_for(2).await;
    gateway.answer(Answers::With(201, "{}"));
    app.advance(8);
    state_becomes(&app, &registered, "sent").await;
}

async fn a_provider_that_wants_time_gets_it(backend: Backend) {
    let gateway = Gateway::start(Answers::RetryAfter(429, 20)).await;
    let app = TestApp::with(backend, webhook(real(), &gateway).with("ENROLL__NOTIFY__SMS", "webhook")).await;
    let registered = register(&app, "9876543210").await;
    gateway.wait_for(1).await;
    let started = Instant::now();
    while app.store().read().await.unwrap().waiting_messages().await.unwrap().1
        < Some(app.now().plus(Duration::from_secs(19)))
    {
        assert!(started.elapsed().as_secs() < 10, "it is put off for as long as the provider wants");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    app.advance(18);
    tokio::time::sleep(Duration::from_millis(1_500)).await; // the worker looks meanwhile
    assert_eq!(gateway.received().len(), 1, "not before its time");
    gateway.answer(Answers::With(200, ""));
    app.advance(2);
    state_becomes(&app, &registered, "sent").await;
    assert_eq!(gateway.received()[0].headers["webhook-id"], gateway.received()[1].headers["webhook-id"]);
}

async fn a_slow_provider_delays_nobody_elses_message(backend: Backend) {
    let slow = Gateway::start(Answers::Never).await;
    let quick = Gateway::start(Answers::With(201, "{}")).await;
    let options = twilio(webhook(real(), &slow), &quick)
        .with("ENROLL__NOTIFY__SMS", "twilio")
        .with("ENROLL__NOTIFY__EMAIL", "webhook");
    let app = TestApp::with(backend, options).await;
    for n in 0..40 {
        let body = json!({"email": format!("ann{n}@example.com"), "password": "correct horse"});
        app.post_from(&fresh_ip(), "/auth/register", body).await.is(202);
    }
    slow.wait_for(1).await;
    let started = Instant::now();
    register(&app, "9876543210").await;
    let received = quick.wait_for(1).await.remove(0);
    assert!(received.at - started < Duration::from_secs(1), "{:?}", received.at - started);
}

async fn twilio_reports_what_was_delivered(backend: Backend) {
    let gateway = Gateway::start(Answers::With(201, "{}")).await;
    let options = twilio(real(), &gateway)
        .with("ENROLL__NOTIFY__SMS", "twilio")
        .with("ENROLL__SERVER__PUBLIC_URL", "https://enroll.example.com");
    let app = TestApp::with(backend, options).await;
    let report = async |number: &str, status: &str, token: &str| {
        let fields = [("MessageSid", "SM1"), ("MessageStatus", status), ("AccountSid", SID)];
        let mut sorted = fields;
        sorted.sort_unstable();
        let url = format!("https://enroll.example.com/providers/twilio/status?message={number}");
        let signed = sorted.iter().fold(url, |signed, (name, value)| signed + name + value);
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, token.as_bytes());
        let signature = STANDARD.encode(hmac::sign(&key, signed.as_bytes()));
        let body: String = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let url = format!("{}/providers/twilio/status?message={number}", app.base);
        let request = app.http.post(url).header("content-type", "application/x-www-form-urlencoded");
        app.send(request.header("x-twilio-signature", signature).body(body)).await
    };
    let mut numbers = Vec::new();
    let mut registered = Vec::new();
    for n in 0..2 {
        registered.push(register(&app, &format!("987654321{n}")).await);
        let received = gateway.wait_for(n + 1).await.remove(n);
        let at = received.body.find("message%3D").unwrap() + "message%3D".len();
        numbers.push(received.body[at..].chars().take_while(char::is_ascii_digit).collect::<String>());
        state_becomes(&app, &registered[n], "sent").await;
    }
    report(&numbers[0], "delivered", "not the token").await.is_problem(403, "forbidden");
    state_becomes(&app, &registered[0], "sent").await;
    report(&numbers[0], "sent", "a secret token of twilio's").await.is(204);
    report(&numbers[0], "delivered", "a secret token of twilio's").await.is(204);
    state_becomes(&app, &registered[0], "delivered").await;
    report(&numbers[1], "undelivered", "a secret token of twilio's").await.is(204);
    state_becomes(&app, &registered[1], "undelivered").await;
    state_becomes(&app, &registered[0], "delivered").await;
    report("999999", "delivered", "a secret token of twilio's").await.is(204);
    // A report that comes late takes nothing back.
    verifies(&app, &registered[0], &code(&gateway.received()[0])).await;
    report(&numbers[0], "undelivered", "a secret token of twilio's").await.is(204);
    state_becomes(&app, &registered[0], "verified").await;
}

async fn operators_see_what_waits_and_what_comes_back(backend: Backend) {
    let gateway = Gateway::start(Answers::With(200, "")).await;
    let app = TestApp::with(backend, webhook(real(), &gateway).with("ENROLL__NOTIFY__SMS", "webhook")).await;
    let rows = async |command: &[&str]| {
        let (out, errors, code) = app.command(&[command, &["--json"]].concat()).await;
        assert_eq!(code, 0, "{errors}");
        out.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>()
    };
    for (n, mobile) in ["9876543210", "9876543211", "+14155552671"].iter().enumerate() {
        let registered = register(&app, mobile).await;
        let received = gateway.wait_for(n + 1).await.remove(n);
        if n != 1 {
            verifies(&app, &registered, &code(&received)).await;
        }
    }
    app.outbox_is_empty().await;
    let stats = rows(&["deliveries", "stats"]).await;
    let india =
        json!({"provider": "webhook", "country": "IN", "sent": 2, "failed": 0, "verified": 1, "segments": 2, "converted": 0.5});
    let america =
        json!({"provider": "webhook", "country": "US", "sent": 1, "failed": 0, "verified": 1, "segments": 1, "converted": 1.0});
    assert_eq!(stats, [india, america]);

    gateway.answer(Answers::RetryAfter(503, 120));
    let waiting = register(&app, "9876543212").await;
    gateway.wait_for(4).await;
    let started = Instant::now();
    let listed = loop {
        let listed = rows(&["deliveries", "list"]).await;
        if listed[0]["due_at"].as_str() > Some(app.now().plus(Duration::from_secs(100)).to_string().as_str()) {
            break listed;
        }
        assert!(started.elapsed().as_secs() < 10, "{listed:#?}");
    };
    assert_eq!((&listed[0]["to"], &listed[0]["purpose"]), (&json!("+91******3212"), &json!("registration")));
    gateway.answer(Answers::With(200, ""));
    assert_eq!(rows(&["deliveries", "retry"]).await, [json!({"hastened": 1})]);
    state_becomes(&app, &waiting, "sent").await;
    gateway.answer(Answers::With(422, ""));
    let dead = register(&app, "9876543213").await;
    state_becomes(&app, &dead, "failed").await;
    let listed = rows(&["deliveries", "dead"]).await;
    assert_eq!(listed[0]["verification_id"], dead["verification"]["verification_id"]);
    gateway.answer(Answers::With(200, ""));
    let tried = rows(&["send-test", "--channel", "sms", "--to", "9876543214"]).await;
    assert_eq!(tried, [json!({"to": "+91******3214", "provider": "webhook", "reference": null, "status": "accepted"})]);
    assert!(gateway.received().last().unwrap().body.contains("012345"));
    let (_, errors, code) = app.command(&["send-test", "--channel", "email", "--to", "9876543214"]).await;
    assert_eq!((code, errors.contains("cannot receive email")), (1, true), "{errors}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_of_a_fleet_send_each_message_once() {
    let gateway = Gateway::start(Answers::With(200, "")).await;
    let app = TestApp::with(Backend::Fleet, webhook(real(), &gateway)
        .with("ENROLL__NOTIFY__SMS", "webhook")
        .with("ENROLL__ABUSE__GUARD", "off")).await;
    let other = app.another_node().await;
    for n in 0..100 {
        register(if n % 2 == 0 { &app } else { &other }, &format!("98765432{n:02}")).await;
    }
    gateway.wait_for(100).await;
    app.outbox_is_empty().await;
    tokio::time::sleep(Duration::from_millis(1_200)).await; // both look meanwhile
    let received = gateway.received();
    let ids: std::collections::BTreeSet<&str> =
        received.iter().map(|it| it.headers["webhook-id"].to_str().unwrap()).collect();
    assert_eq!((received.len(), ids.len()), (100, 100));
}
