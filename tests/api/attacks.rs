//! What an attack found: each is a small thing that cost much, or showed much.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Backend, TestApp};

stories!(
    without a pooler:
    a_refused_send_waits_for_no_lock,
    the_inbox_is_for_this_machine_alone,
    the_docs_page_may_load_its_own_files_alone,
);

async fn a_refused_send_waits_for_no_lock(backend: Backend) {
    let app = TestApp::start(backend).await;
    let body = json!({"mobile": "9876543210"});
    app.post("/auth/send-otp", body.clone()).await.is(200);
    let pending = app.register(json!({"mobile": "9876543211", "password": "correct horse"})).await;
    let held = app.hold_destinations().await;
    let started = Instant::now();
    app.post("/auth/send-otp", body).await.is_problem(429, "too_many_requests");
    let resend = json!({"verification_id": pending.verification_id});
    app.post("/auth/resend-otp", resend).await.is_problem(429, "too_many_requests");
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
