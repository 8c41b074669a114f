//! The party at fault for a provider's refusal: the recipient's (final), the message's (next provider, and nobody else waits), or
//! the provider's (it counts against it).

use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt as _, net::TcpListener, time::timeout};

use crate::support::{
    Backend, Options, TestApp,
    app::fresh_ip,
    fake_provider::{Answers, Gateway},
};

stories!(
    without a pooler:
    twilios_answers_blame_the_right_party,
    refusals_of_one_country_slow_nobody_else,
    a_report_before_the_answer_is_not_taken_back,
    a_webhooks_answers_blame_the_right_party,
    an_endless_answer_of_a_provider_ends,
);

const SID: &str = "AC00000000000000000000000000000001";

fn options(twilio: &Gateway, second: &Gateway) -> Options {
    Options::unlimited()
        .with("ENROLL__NOTIFY__INBOX", "false")
        .with("ENROLL__NOTIFY__SMS", "twilio,webhook")
        .with("ENROLL__NOTIFY__WEBHOOK__URL", format!("{}/hook", second.url))
        .with("ENROLL__NOTIFY__WEBHOOK__SECRET", "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
        .with("ENROLL__NOTIFY__TWILIO__ACCOUNT_SID", SID)
        .with("ENROLL__NOTIFY__TWILIO__AUTH_TOKEN", "a secret token of twilio's")
        .with("ENROLL__NOTIFY__TWILIO__FROM", "+15005550006")
        .with("ENROLL__NOTIFY__TWILIO__BASE_URL", &twilio.url)
}

async fn register(app: &TestApp, n: u32) -> Value {
    let body = json!({"mobile": format!("98765{n:05}"), "password": "correct horse"});
    app.post_from(&fresh_ip(), "/auth/register", body).await.is(202)["verification"].clone()
}

async fn ends(app: &TestApp, verification: &Value) -> String {
    app.delivery_outcome(verification["verification_id"].as_str().unwrap()).await
}

async fn twilios_answers_blame_the_right_party(backend: Backend) {
    let (twilio, second) = (Gateway::start(Answers::With(201, "{}")).await, Gateway::start(Answers::With(200, "")).await);
    let app = TestApp::with(backend, options(&twilio, &second)).await;
    let mut n = 0;
    for (status, body, state) in [
        (400, r#"{"code":21211}"#, "failed"),
        (400, r#"{"code":21214}"#, "failed"),
        (400, r#"{"code":21610}"#, "failed"),
        (400, r#"{"code":21614}"#, "failed"),
        (400, r#"{"code":30003}"#, "failed"),
        (400, r#"{"code":30006}"#, "failed"),
        (400, r#"{"code":21408}"#, "sent"),
        (400, r#"{"code":21612}"#, "sent"),
        (400, r#"{"code":21617}"#, "sent"),
        (400, r#"{"code":30007}"#, "sent"),
        (400, r#"{"code":30008}"#, "sent"),
        (429, r#"{"code":63038}"#, "sent"),
        (401, r#"{"code":20003}"#, "sent"),
        (429, r#"{"code":20429}"#, "sent"),
        (500, "", "sent"),
        (503, "", "sent"),
    ] {
        twilio.answer(Answers::With(status, body));
        let by_second = second.received().len();
        n += 1;
        assert_eq!(ends(&app, &register(&app, n).await).await, state, "{status} {body}");
        let went_on = second.received().len() > by_second;
        assert_eq!(went_on, state == "sent", "{status} {body}: the next provider is tried unless it is final");
    }
}

async fn refusals_of_one_country_slow_nobody_else(backend: Backend) {
    let (twilio, second) = (Gateway::start(Answers::With(201, "{}")).await, Gateway::start(Answers::With(200, "")).await);
    let app = TestApp::with(backend, options(&twilio, &second).with("ENROLL__NOTIFY__SMS", "twilio")).await;
    twilio.answer(Answers::With(400, r#"{"code":21408}"#));
    for n in 0..12 {
        register(&app, n).await;
    }
    twilio.wait_for(12).await;
    twilio.answer(Answers::With(201, "{}"));
    let started = Instant::now();
    assert_eq!(ends(&app, &register(&app, 100).await).await, "sent");
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}

async fn a_report_before_the_answer_is_not_taken_back(backend: Backend) {
    let (twilio, second) = (Gateway::start(Answers::Never).await, Gateway::start(Answers::With(200, "")).await);
    let with_url = options(&twilio, &second).with("ENROLL__NOTIFY__SMS", "twilio,webhook");
    let app = TestApp::with(backend, with_url.with("ENROLL__SERVER__PUBLIC_URL", "https://enroll.example.com")).await;
    let pending = register(&app, 1).await;
    let received = twilio.wait_for(1).await.remove(0);
    let at = received.body.find("message%3D").unwrap() + "message%3D".len();
    let number: String = received.body[at..].chars().take_while(char::is_ascii_digit).collect();
    // Signed with the port, as Twilio sometimes does.
    let signed = format!("https://enroll.example.com:443/providers/twilio/status?message={number}MessageStatusfailed");
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, b"a secret token of twilio's");
    let signature = STANDARD.encode(hmac::sign(&key, signed.as_bytes()));
    let report = app.http.post(format!("{}/providers/twilio/status?message={number}", app.base));
    let report = report.header("content-type", "application/x-www-form-urlencoded").body("MessageStatus=failed");
    app.send(report.header("x-twilio-signature", signature)).await.is(204);
    assert_eq!(ends(&app, &pending).await, "failed");
    second.wait_for(1).await; // the answer of the first came too late, and the second took the message
    app.outbox_is_empty().await;
    assert_eq!(ends(&app, &pending).await, "failed");
}

async fn a_webhooks_answers_blame_the_right_party(backend: Backend) {
    let (hook, twilio) = (Gateway::start(Answers::With(200, "")).await, Gateway::start(Answers::With(201, "{}")).await);
    let app = TestApp::with(backend, options(&twilio, &hook).with("ENROLL__NOTIFY__SMS", "webhook,twilio")).await;
    for (n, (status, state)) in [
        (422, "failed"),
        (400, "sent"),
        (401, "sent"),
        (404, "sent"),
        (409, "sent"),
        (413, "sent"),
        (429, "sent"),
        (500, "sent"),
        (503, "sent"),
    ]
    .into_iter()
    .enumerate()
    {
        hook.answer(Answers::With(status, ""));
        let by_second = twilio.received().len();
        assert_eq!(ends(&app, &register(&app, u32::try_from(n).unwrap()).await).await, state, "{status}");
        assert_eq!(twilio.received().len() > by_second, state == "sent", "{status}: final or not");
        hook.answer(Answers::With(200, "")); // it answers again, so that it is not skipped
        ends(&app, &register(&app, 100 + u32::try_from(n).unwrap()).await).await;
    }
}

/// Answers every request with a refusal whose body never ends.
async fn endless() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = stream.write_all(b"HTTP/1.1 400 no\r\ncontent-length: 99999999999\r\n\r\n").await;
                while stream.write_all(&[b'x'; 4_096]).await.is_ok() {}
            });
        }
    });
    url
}

async fn an_endless_answer_of_a_provider_ends(backend: Backend) {
    let (twilio, second) = (Gateway::start(Answers::Never).await, Gateway::start(Answers::With(200, "")).await);
    let endless = options(&twilio, &second).with("ENROLL__NOTIFY__TWILIO__BASE_URL", endless().await);
    let app = TestApp::with(backend, endless).await;
    register(&app, 1).await;
    timeout(Duration::from_secs(2), second.wait_for(1)).await.expect("64 KiB are read, and then the next is tried");
}
