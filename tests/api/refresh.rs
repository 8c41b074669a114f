//! Refresh until used: an answer that was lost logs nobody out, and a copy of a token that was used ends the session.

use std::{collections::BTreeSet, path::Path};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::{code_login::account, tokens::p256};
use crate::support::{Answer, Backend, Options, TestApp};

stories!(
    a_lost_answer_is_given_again_an_hour_later,
    the_first_use_of_the_successor_ends_what_it_replaced,
    a_late_crowd_gets_one_successor,
    without_the_rule_the_grace_is_all,
    a_token_of_another_signature_is_no_use,
);

async fn refresh(app: &TestApp, tokens: &Value) -> Answer {
    app.post("/auth/refresh", json!({"refresh_token": tokens["refresh_token"]})).await
}

fn access(tokens: &Value) -> &str {
    tokens["access_token"].as_str().unwrap()
}

const HOUR: u64 = 3_600;

async fn a_lost_answer_is_given_again_an_hour_later(backend: Backend) {
    let app = TestApp::start(backend).await;
    let first = account(&app).await;
    let lost = refresh(&app, &first).await.is(200);
    for _ in 0..3 {
        app.advance(HOUR);
        let found = refresh(&app, &first).await.is(200);
        assert_eq!(found["refresh_token"], lost["refresh_token"]);
        let left = |tokens: &Value| tokens["refresh_expires_in"].as_u64().unwrap();
        assert!(left(&found) <= left(&lost) - HOUR, "it renews nothing: {found:#}");
    }
    // The access token of before uses nothing, not even as long as it lives.
    let third = refresh(&app, &lost).await.is(200);
    let second_access = access(&lost).to_owned();
    app.me(&second_access).await.is_problem(401, "invalid_token"); // three hours old
    app.advance(60);
    let again = refresh(&app, &lost).await.is(200);
    let fourth = refresh(&app, &again).await.is(200);
    app.me(access(&again)).await.is(200);
    app.advance(60);
    let found = refresh(&app, &again).await.is(200);
    assert_eq!(found["refresh_token"], fourth["refresh_token"]);
    assert_eq!(again["refresh_token"], third["refresh_token"]);
    app.me(access(&found)).await.is(200);
}

async fn the_first_use_of_the_successor_ends_what_it_replaced(backend: Backend) {
    let app = TestApp::with(backend, Options::unlimited()).await;
    let used_by_access = async |app: &TestApp, tokens: &Value| {
        app.me(access(tokens)).await.is(200);
    };
    let used_by_refresh = async |app: &TestApp, tokens: &Value| {
        refresh(app, tokens).await.is(200);
    };
    // By the access token of the first answer, or of one given again.
    for given_again in [false, true] {
        let stolen = account(&app).await;
        let mut second = refresh(&app, &stolen).await.is(200);
        if given_again {
            app.advance(HOUR);
            second = refresh(&app, &stolen).await.is(200);
        }
        used_by_access(&app, &second).await;
        app.advance(31);
        refresh(&app, &stolen).await.is_problem(401, "token_reused");
        app.me(access(&second)).await.is_problem(401, "invalid_token");
        refresh(&app, &second).await.is_problem(401, "invalid_token");
        delete_accounts(&app).await;
    }
    // By the refresh token.
    let stolen = account(&app).await;
    let second = refresh(&app, &stolen).await.is(200);
    used_by_refresh(&app, &second).await;
    refresh(&app, &stolen).await.is_problem(401, "token_reused");
    refresh(&app, &second).await.is_problem(401, "invalid_token");
}

/// So that the next story may register the same person.
async fn delete_accounts(app: &TestApp) {
    app.execute_sql("DELETE FROM users").await;
}

async fn a_late_crowd_gets_one_successor(backend: Backend) {
    let app = TestApp::with(backend, Options::default().with("ENROLL__TOKENS__REFRESH_GRACE", 0)).await;
    let first = account(&app).await;
    for wait in [0, HOUR] {
        app.advance(wait);
        let answers = join_all((0..20).map(|_| refresh(&app, &first))).await;
        let successors: BTreeSet<String> =
            answers.into_iter().map(|answer| answer.is(200)["refresh_token"].to_string()).collect();
        assert_eq!(successors.len(), 1);
    }
    // Used by twenty at once, it is marked; and none of them is in the way of another.
    let second = refresh(&app, &first).await.is(200);
    for answer in join_all((0..20).map(|_| app.me(access(&second)))).await {
        answer.is(200);
    }
    refresh(&app, &first).await.is_problem(401, "token_reused");
}

async fn without_the_rule_the_grace_is_all(backend: Backend) {
    let dir = tempfile::tempdir().unwrap();
    let key_pair = |dir: &Path| {
        Options::unlimited()
            .with("ENROLL__TOKENS__ALGORITHM", "ES256")
            .with("ENROLL__TOKENS__PRIVATE_KEY_FILE", p256(dir))
    };
    // By the setting, and by default where others verify the tokens.
    let switched_off = Options::default().with("ENROLL__TOKENS__REFRESH_UNTIL_USED", false);
    for options in [switched_off, key_pair(dir.path())] {
        let app = TestApp::with(backend, options).await;
        let first = account(&app).await;
        let second = refresh(&app, &first).await.is(200);
        app.advance(29);
        assert_eq!(refresh(&app, &first).await.is(200)["refresh_token"], second["refresh_token"]);
        app.advance(1);
        refresh(&app, &first).await.is_problem(401, "token_reused");
        refresh(&app, &second).await.is_problem(401, "invalid_token");
    }
    // A key pair and the rule, where the operator wants both.
    let both = key_pair(dir.path()).with("ENROLL__TOKENS__REFRESH_UNTIL_USED", true);
    let app = TestApp::with(backend, both).await;
    let first = account(&app).await;
    let second = refresh(&app, &first).await.is(200);
    app.advance(HOUR);
    assert_eq!(refresh(&app, &first).await.is(200)["refresh_token"], second["refresh_token"]);
}

async fn a_token_of_another_signature_is_no_use(backend: Backend) {
    let app = TestApp::start(backend).await;
    let first = account(&app).await;
    let second = refresh(&app, &first).await.is(200);
    // Neither a forged access token, nor a forged refresh token, nor a right one on a call that asks for none.
    let (head, signature) = access(&second).rsplit_once('.').unwrap();
    let forged = format!("{head}.{}", signature.chars().rev().collect::<String>());
    app.me(&forged).await.is_problem(401, "invalid_token");
    let forged = second["refresh_token"].as_str().unwrap().chars().rev().collect::<String>();
    app.post("/auth/refresh", json!({"refresh_token": forged})).await.is_problem(401, "invalid_token");
    app.send(app.request(Method::GET, "/livez").bearer_auth(access(&second))).await.is(200);
    app.me(access(&first)).await.is(200);
    app.advance(HOUR);
    assert_eq!(refresh(&app, &first).await.is(200)["refresh_token"], second["refresh_token"]);
}
