//! What clients are told when a part is busy, broken or down; and the service's own calls.

use serde_json::json;

use super::code_login::account;
use crate::support::{Backend, Options, TestApp, app::fresh_ip};

stories!(
    the_service_tells_of_itself,
    a_database_that_is_held_up_is_503,
    unreadable_data_is_an_internal_error,
    more_passwords_than_can_be_hashed_are_refused,
);

async fn the_service_tells_of_itself(backend: Backend) {
    let app = TestApp::start(backend).await;
    app.get("/livez").await.is(200);
    app.get("/readyz").await.is(200);
    let keys = app.get("/.well-known/jwks.json").await;
    assert_eq!(keys.header("cache-control"), Some("public, max-age=300"));
    assert_eq!(keys.is(200), json!({"keys": []}));
    app.get("/nothing").await.is_problem(404, "not_found");
}

async fn a_database_that_is_held_up_is_503(backend: Backend) {
    let app = TestApp::start(backend).await;
    let held = app.lock_database().await;
    let body = json!({"mobile": "9876543210", "password": "correct horse"});
    let refused = app.post("/auth/register", body.clone()).await;
    assert_eq!(refused.header("retry-after"), Some("1"));
    // SQLite is one file; of PostgreSQL, one table is held.
    refused.is_problem(503, if backend == Backend::Embedded { "unavailable" } else { "overloaded" });
    held.release().await;
    let started = std::time::Instant::now();
    while app.post_from(&fresh_ip(), "/auth/register", body.clone()).await.status != 202 {
        assert!(started.elapsed().as_secs() < 5, "asking again is safe");
    }
}

async fn unreadable_data_is_an_internal_error(backend: Backend) {
    let app = TestApp::start(backend).await;
    account(&app).await;
    app.execute_sql("UPDATE destinations SET history = 'nonsense'").await;
    let refused = app.post("/auth/send-otp", json!({"mobile": "9876543210"})).await;
    let problem = refused.is_problem(500, "internal");
    assert_eq!(problem["detail"], "internal error", "nothing internal shows");
}

async fn more_passwords_than_can_be_hashed_are_refused(backend: Backend) {
    let options =
        Options::unlimited().with("ENROLL__PASSWORDS__MEMORY_KIB", 65_536).with("ENROLL__PASSWORDS__ITERATIONS", 4);
    let options = options.with("ENROLL__DATABASE__TIMEOUT", 5); // a slow machine reads two hundred accounts in more than one
    let app = TestApp::with(backend, options).await;
    let login =
        |n: u32| app.post("/auth/login", json!({"login_id": format!("nobody-{n}"), "password": "correct horse"}));
    let answers = futures_util::future::join_all((0..200).map(login)).await;
    let refused: Vec<_> = answers.into_iter().filter(|answer| answer.status == 503).collect();
    assert!(!refused.is_empty(), "the queue holds 128");
    for answer in refused {
        answer.is_problem(503, "overloaded");
    }
}
