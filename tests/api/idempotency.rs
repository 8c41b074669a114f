//! `Idempotency-Key`: the same request is done once, however often it comes.

use futures_util::future::{join_all, select_all};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Backend, TestApp, app::fresh_ip};

stories!(
    without a pooler:
    a_repeated_request_has_the_same_answer,
    equal_requests_at_once_give_one_message,
    a_running_request_is_not_begun_again,
    a_key_means_one_request_of_one_client,
    an_error_is_not_kept,
    a_key_has_a_form,
);

async fn keyed(app: &TestApp, ip: &str, path: &str, key: &str, body: &Value) -> Answer {
    let request = app.request(Method::POST, path).header("x-forwarded-for", ip).header("idempotency-key", key);
    app.send(request.json(body)).await
}

async fn messages(app: &TestApp) -> usize {
    app.outbox_is_empty().await;
    app.application.inbox.as_ref().unwrap().messages(None).len()
}

async fn a_repeated_request_has_the_same_answer(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (ip, body) = (fresh_ip(), json!({"mobile": "9876543210", "password": "correct horse"}));
    let first = keyed(&app, &ip, "/auth/register", r#""a-key""#, &body).await.is(202);
    app.advance(20);
    let again = keyed(&app, &ip, "/auth/register", "a-key", &body).await.is(202);
    assert_eq!(again["user_id"], first["user_id"]);
    assert_eq!(again["verification"]["verification_id"], first["verification"]["verification_id"]);
    for (left, at_first) in [("expires_in", 300), ("resend_in", 30)] {
        assert_eq!(first["verification"][left], at_first);
        assert_eq!(again["verification"][left], at_first - 20, "times are counted down");
    }
    let id = first["verification"]["verification_id"].clone();
    app.advance(40);
    for (path, body, status) in [
        ("/auth/resend-otp", json!({"verification_id": id}), 200),
        ("/auth/send-otp", json!({"mobile": "9876543211"}), 200),
        ("/users", json!({"mobile": "9876543212", "password": "correct horse"}), 202),
    ] {
        let sent = messages(&app).await;
        let first = keyed(&app, &ip, path, "a-key", &body).await.is(status);
        let after = messages(&app).await;
        assert!(after <= sent + 1);
        // Neither the client's limit nor the destination's counts a repeat.
        for _ in 0..10 {
            assert_eq!(keyed(&app, &ip, path, "a-key", &body).await.is(status), first, "{path}");
        }
        assert_eq!(messages(&app).await, after);
    }
    let app = app.restart().await;
    if backend != Backend::Embedded {
        let kept = keyed(&app, &ip, "/auth/register", "a-key", &body).await.is(202);
        assert_eq!((&kept["user_id"], &kept["verification"]["resend_in"]), (&first["user_id"], &json!(0)));
    }
    app.advance(86_400);
    let anew = keyed(&app, &ip, "/auth/register", "a-key", &body).await.is(202);
    assert_ne!(anew["user_id"], first["user_id"], "after a day it is a new request");
}

async fn equal_requests_at_once_give_one_message(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (ip, body) = (fresh_ip(), json!({"mobile": "9876543210", "password": "correct horse"}));
    let answers = join_all((0..18).map(|_| keyed(&app, &ip, "/auth/register", "a-key", &body))).await;
    let mut accepted = Vec::new();
    for answer in answers {
        match answer.status {
            202 => accepted.push(answer.is(202)["user_id"].clone()),
            _ => drop(answer.is_problem(409, "request_in_progress")),
        }
    }
    accepted.dedup();
    assert_eq!(accepted.len(), 1, "one answer");
    assert_eq!(keyed(&app, &ip, "/auth/register", "a-key", &body).await.is(202)["user_id"], accepted[0]);
    assert_eq!(messages(&app).await, 1);
}

async fn a_running_request_is_not_begun_again(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (ip, body) = (fresh_ip(), json!({"mobile": "9876543210", "password": "correct horse"}));
    let held = app.lock_database().await;
    let requests = [(), ()].map(|()| Box::pin(keyed(&app, &ip, "/auth/register", "a-key", &body)));
    let (refused, _, running) = select_all(requests).await;
    refused.is_problem(409, "request_in_progress");
    held.release().await;
    for answer in running {
        answer.await.is(202);
    }
}

async fn a_key_means_one_request_of_one_client(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (ip, body) = (fresh_ip(), json!({"mobile": "9876543210", "password": "correct horse"}));
    let first = keyed(&app, &ip, "/auth/register", "a-key", &body).await.is(202);
    let other = json!({"mobile": "9876543210", "password": "another horse"});
    keyed(&app, &ip, "/auth/register", "a-key", &other).await.is_problem(422, "idempotency_key_reused");
    // Of another network, destination or call it is another request.
    app.advance(31);
    let stranger = keyed(&app, &fresh_ip(), "/auth/register", "a-key", &other).await.is(202);
    assert_ne!(stranger["user_id"], first["user_id"]);
    let elsewhere = json!({"mobile": "9876543211", "password": "correct horse"});
    keyed(&app, &ip, "/auth/register", "a-key", &elsewhere).await.is(202);
    keyed(&app, &ip, "/auth/send-otp", "a-key", &json!({"mobile": "9876543210"})).await.is(200);
}

async fn an_error_is_not_kept(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (ip, mobile) = (fresh_ip(), json!({"mobile": "9876543210"}));
    app.post_from(&fresh_ip(), "/auth/send-otp", mobile.clone()).await.is(200);
    keyed(&app, &ip, "/auth/send-otp", "a-key", &mobile).await.is_problem(429, "too_many_requests");
    keyed(&app, &ip, "/auth/send-otp", "a-key", &json!({"mobile": "12"})).await.is_invalid(&[("mobile", "invalid")]);
    app.advance(30);
    keyed(&app, &ip, "/auth/send-otp", "a-key", &mobile).await.is(200);
}

async fn a_key_has_a_form(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mobile = json!({"mobile": "9876543210"});
    for wrong in ["", "\"\"", "two words", &"x".repeat(129)] {
        keyed(&app, &fresh_ip(), "/auth/send-otp", wrong, &mobile).await.is_problem(400, "invalid_idempotency_key");
    }
    keyed(&app, &fresh_ip(), "/auth/send-otp", &"x".repeat(128), &mobile).await.is(200);
}
