//! Clients wait for what becomes of a verification, in place of asking again and again.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Answer, Backend, Options, TestApp, app::PendingRegistration};

stories!(
    without a pooler:
    a_wait_ends_when_the_code_is_used,
    a_wait_for_what_is_known_to_be_over_is_answered_at_once,
    a_wait_ends_with_the_node,
    only_four_wait_for_one_verification,
);

async fn pending(app: &TestApp) -> PendingRegistration {
    let pending = app.register(json!({"mobile": "9876543210", "password": "correct horse"})).await;
    app.delivery_outcome(&pending.verification_id).await;
    pending
}

fn waits(app: &TestApp, id: &str, query: &str) -> tokio::task::JoinHandle<(Answer, Duration)> {
    let url = format!("{}/api/v1/auth/verifications/{id}?{query}", app.base);
    let http = app.http.clone();
    tokio::spawn(async move {
        let started = Instant::now();
        let answer = Answer::read(http.get(url).timeout(Duration::from_secs(30)).send().await.unwrap()).await;
        (answer, started.elapsed())
    })
}

async fn state(waiting: tokio::task::JoinHandle<(Answer, Duration)>) -> (String, Duration) {
    let (answer, took) = waiting.await.unwrap();
    let status: Value = answer.is(200);
    (status["state"].as_str().unwrap().to_owned(), took)
}

async fn a_wait_ends_when_the_code_is_used(backend: Backend) {
    // A wait stands outside the time limit of requests.
    let app = TestApp::with(backend, Options::unlimited().with("ENROLL__SERVER__REQUEST_TIMEOUT", 1)).await;
    let pending = pending(&app).await;
    let waiting = waits(&app, &pending.verification_id, "wait=20");
    let longer = waits(&app, &pending.verification_id, "wait=20&state=sent");
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert!(!waiting.is_finished() && !longer.is_finished(), "nothing has changed yet");
    app.verify(&pending, &pending.otp).await.is(200);
    for waiting in [waiting, longer] {
        let (state, took) = state(waiting).await;
        assert_eq!(state, "verified");
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
}

async fn a_wait_for_what_is_known_to_be_over_is_answered_at_once(backend: Backend) {
    let app = TestApp::with(backend, Options::unlimited()).await;
    let pending = pending(&app).await;
    let id = &pending.verification_id;
    let at_once = async |query: &str, expected: &str| {
        let (state, took) = state(waits(&app, id, query)).await;
        assert_eq!(state, expected, "{query}");
        assert!(took < Duration::from_secs(1), "{query}: {took:?}");
    };
    at_once("wait=20&state=queued", "sent").await;
    at_once("wait=20&state=a-later-version", "sent").await;
    for wait in ["0", "26", "-1", "soon", ""] {
        app.get(&format!("/auth/verifications/{id}?wait={wait}")).await.is_invalid(&[("wait", "invalid")]);
    }
    let nobodys = "/auth/verifications/00000000-0000-4000-8000-000000000000?wait=20";
    app.get(nobodys).await.is_problem(404, "unknown_verification");
    let (state, took) = state(waits(&app, id, "wait=1&state=sent")).await;
    assert_eq!(state, "sent", "at the latest after that");
    assert!(took >= Duration::from_secs(1), "{took:?}");
    app.advance(301);
    at_once("wait=20&state=expired", "expired").await;
}

async fn a_wait_ends_with_the_node(backend: Backend) {
    let app = TestApp::with(backend, Options::unlimited().with("ENROLL__SERVER__DRAIN", 0)).await;
    let pending = pending(&app).await;
    let waiting = waits(&app, &pending.verification_id, "wait=25");
    tokio::time::sleep(Duration::from_millis(300)).await;
    app.application.drain().await;
    assert!(state(waiting).await.1 < Duration::from_secs(3));
}

async fn only_four_wait_for_one_verification(backend: Backend) {
    let app = TestApp::with(backend, Options::unlimited()).await;
    let pending = pending(&app).await;
    let waiting: Vec<_> = (0..4).map(|_| waits(&app, &pending.verification_id, "wait=20")).collect();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (_, took) = state(waits(&app, &pending.verification_id, "wait=20")).await;
    assert!(took < Duration::from_secs(1), "the fifth is answered at once: {took:?}");
    app.verify(&pending, &pending.otp).await.is(200);
    for waiting in waiting {
        assert_eq!(state(waiting).await.0, "verified");
    }
}
