//! What an attack found: each is a small thing that cost much, or showed much.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::{io::AsyncWriteExt as _, net::TcpListener, time::timeout};

use crate::support::{
    Backend, Options, TestApp,
    fake_provider::{Answers, Gateway},
};

stories!(
    a_refused_send_waits_for_no_lock,
    the_inbox_is_for_this_machine_alone,
    the_docs_page_may_load_its_own_files_alone,
    an_endless_answer_of_a_provider_ends,
);

async fn a_refused_send_waits_for_no_lock(backend: Backend) {
    let app = TestApp::start(backend).await;
    let body = json!({"mobile": "9876543210"});
    app.post("/auth/send-otp", body.clone()).await.is(200);
    let held = app.hold_destinations().await;
    let started = Instant::now();
    for path in ["/auth/send-otp", "/auth/send-otp"] {
        app.post(path, body.clone()).await.is_problem(429, "too_many_requests");
    }
    assert!(started.elapsed() < Duration::from_millis(500), "{:?}", started.elapsed());
    held.release().await;
}

async fn the_inbox_is_for_this_machine_alone(backend: Backend) {
    let app = TestApp::start(backend).await;
    let inbox = || app.http.get(format!("{}/dev/inbox", app.base));
    for host in ["127.0.0.1:8000", "localhost", "localhost:8000", "[::1]:8000", "127.0.0.53"] {
        app.send(inbox().header("host", host)).await.is(200);
    }
    for host in ["rebound.example.com", "rebound.example.com:8000", "localhost.example.com", "192.0.2.1", "10.0.0.1:80"] {
        app.send(inbox().header("host", host)).await.is_problem(404, "not_found");
    }
    for name in ["x-forwarded-for", "forwarded", "x-real-ip", "via"] {
        app.send(inbox().header(name, "x")).await.is_problem(404, "not_found");
    }
}

async fn the_docs_page_may_load_its_own_files_alone(backend: Backend) {
    let app = TestApp::start(backend).await;
    let page = app.get("/docs/").await;
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'self';") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!page.text.contains("http://") && !page.text.contains("https://"), "{}", page.text);
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
    let second = Gateway::start(Answers::With(200, "")).await;
    let options = Options::unlimited()
        .with("ENROLL__NOTIFY__INBOX", "false")
        .with("ENROLL__NOTIFY__SMS", "twilio,webhook")
        .with("ENROLL__NOTIFY__WEBHOOK__URL", format!("{}/hook", second.url))
        .with("ENROLL__NOTIFY__WEBHOOK__SECRET", "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
        .with("ENROLL__NOTIFY__TWILIO__ACCOUNT_SID", "AC1")
        .with("ENROLL__NOTIFY__TWILIO__AUTH_TOKEN", "a token")
        .with("ENROLL__NOTIFY__TWILIO__FROM", "+15005550006")
        .with("ENROLL__NOTIFY__TWILIO__BASE_URL", endless().await);
    let app = TestApp::with(backend, options).await;
    app.post("/auth/register", json!({"mobile": "9876543210", "password": "correct horse"})).await.is(202);
    timeout(Duration::from_secs(2), second.wait_for(1)).await.expect("64 KiB are read, and then the next is tried");
}
