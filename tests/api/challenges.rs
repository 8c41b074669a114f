//! What stands before a code where codes are abused: the guard, the ceilings, and the challenge that opens both.

use altcha::{Challenge, SolveChallengeOptions, solve_challenge};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    Answer, Backend, Options, TestApp,
    app::fresh_ip,
    fake_provider::{Answers, Gateway},
};

stories!(
    without a pooler:
    a_pumped_range_needs_a_challenge,
    a_solution_is_used_once_for_what_it_was_made_for,
    every_call_that_sends_a_code_may_ask_for_a_challenge,
    a_client_solves_beyond_forty_an_hour,
    the_ceilings_ask_and_then_refuse,
    a_guard_that_watches_holds_nobody,
    a_provider_judges_in_place_of_the_work,
    the_cost_doubles_with_each_further_minimum,
    a_challenge_is_for_the_address_that_was_named,
    operators_see_and_lift_what_is_held,
);

fn guarded() -> Options {
    Options::default().with("ENROLL__ABUSE__POW_COST", 100)
}

fn number(nth: u32) -> String {
    format!("98765{nth:05}")
}

fn details(mobile: &str) -> Value {
    json!({"mobile": mobile, "password": "correct horse"})
}

/// As ALTCHA's own solver does it.
fn solve(challenge: &Value) -> String {
    assert_eq!(challenge["kind"], "pow");
    let unsolved = json!({"parameters": challenge["parameters"], "signature": challenge["signature"]});
    let read: Challenge = serde_json::from_value(unsolved.clone()).unwrap();
    let solution = solve_challenge(SolveChallengeOptions::new(&read)).unwrap().unwrap();
    STANDARD.encode(json!({"challenge": unsolved, "solution": solution}).to_string())
}

fn with(body: &Value, solution: &str) -> Value {
    let mut body = body.clone();
    body["challenge"] = solution.into();
    body
}

/// The challenge that the answer asks for.
#[track_caller]
fn asked(answer: Answer) -> Value {
    let problem = answer.is_problem(403, "challenge_required");
    assert!(problem["challenge"]["signature"].is_string(), "{problem:#}");
    problem["challenge"].clone()
}

/// Registers numbers of one range till a challenge is asked for; how many went out.
async fn pump(app: &TestApp) -> u32 {
    for nth in 0..40 {
        let answer = app.post_from(&fresh_ip(), "/auth/register", details(&number(nth))).await;
        if answer.status == 403 {
            asked(answer);
            return nth;
        }
        answer.is(202);
    }
    panic!("forty messages went out");
}

async fn a_pumped_range_needs_a_challenge(backend: Backend) {
    let app = TestApp::with(backend, guarded()).await;
    assert_eq!(pump(&app).await, 21, "the first that is more than the minimum");
    let (ip, body) = (fresh_ip(), details(&number(50)));
    let challenge = asked(app.post_from(&ip, "/auth/register", body.clone()).await);
    app.post_from(&ip, "/auth/register", with(&body, &solve(&challenge))).await.is(202);
    let elsewhere = app.post_from(&fresh_ip(), "/auth/register", details("9811122233")).await;
    elsewhere.is(202);
    app.post_from(&fresh_ip(), "/auth/send-otp", json!({"mobile": number(51)})).await.is(200);
    app.post_from(&fresh_ip(), "/auth/forgot-password", json!({"mobile": number(51)})).await.is(202);
    app.post_from(&fresh_ip(), "/auth/register", json!({"email": "ann@example.com", "password": "correct horse"}))
        .await
        .is(202);

    // Nobody waits for the guard, but it outlives the node, and another node learns of it.
    let app = app.restart().await;
    let again = async |app: &TestApp| {
        for nth in 0..50 {
            let answer = app.post_from(&fresh_ip(), "/auth/register", details(&number(60 + nth))).await;
            if answer.status == 403 {
                return nth;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        50
    };
    assert!(again(&app).await < 15, "what was counted is kept");
    if backend != Backend::Embedded {
        let other = app.another_node().await;
        assert!(again(&other).await < 15, "another node knows");
    }
    app.advance(86_400 + 300);
    app.post_from(&fresh_ip(), "/auth/register", details(&number(99))).await.is(202);
}

async fn a_solution_is_used_once_for_what_it_was_made_for(backend: Backend) {
    let app = TestApp::with(backend, guarded().with("ENROLL__ABUSE__CHALLENGE", "always")).await;
    let (ip, body) = (fresh_ip(), details("9876543210"));
    let challenge = asked(app.post_from(&ip, "/auth/register", body.clone()).await);
    let solution = solve(&challenge);
    asked(app.post_from(&fresh_ip(), "/auth/register", with(&body, &solution)).await);
    asked(app.post_from(&ip, "/auth/register", with(&details("9876543211"), &solution)).await);
    asked(app.post_from(&ip, "/auth/register", with(&body, "bm9uc2Vuc2U=")).await);
    // Bad input loses nothing, and is told before.
    let short = json!({"mobile": "9876543210", "password": "short", "challenge": solution});
    app.post_from(&ip, "/auth/register", short).await.is_invalid(&[("password", "too_short")]);
    let at_once = futures_util::future::join_all((0..4).map(|nth| {
        let body = json!({"mobile": "9876543210", "password": format!("correct horse {nth}"), "challenge": solution});
        let (app, ip) = (&app, &ip);
        async move { app.post_from(ip, "/auth/register", body).await.status }
    }));
    let at_once = at_once.await;
    assert_eq!(at_once.iter().filter(|status| **status == 202).count(), 1, "{at_once:?}");
    asked(app.post_from(&ip, "/auth/register", with(&body, &solution)).await);

    // A refusal spends nothing: it is too soon for the next code, and then it is not.
    let again = details("9876543210");
    let other = json!({"mobile": "9876543210", "password": "another horse"});
    let solution = solve(&app.post_from(&ip, "/auth/challenge", json!({"mobile": "+91 98765 43210"})).await.is(200)["challenge"]);
    app.post_from(&ip, "/auth/register", with(&other, &solution)).await.is_problem(429, "too_many_requests");
    app.advance(61);
    app.post_from(&ip, "/auth/register", with(&other, &solution)).await.is(202);
    let late = solve(&asked(app.post_from(&ip, "/auth/register", again.clone()).await));
    app.advance(301);
    asked(app.post_from(&ip, "/auth/register", with(&again, &late)).await);
}

async fn every_call_that_sends_a_code_may_ask_for_a_challenge(backend: Backend) {
    let app = TestApp::with(backend, guarded()).await;
    let ann = app.register(json!({"mobile": "9876543210", "email": "ann@example.com", "password": "correct horse"})).await;
    let tokens = app.verify(&ann, &ann.otp).await.is(200);
    let bob = app.register(json!({"mobile": "9876543211", "password": "correct horse"})).await;
    app.advance(61);
    let app = app.restart_with("ENROLL__ABUSE__CHALLENGE", "always").await;
    let ip = fresh_ip();
    let solved = async |path: &str, body: Value| {
        let challenge = asked(app.post_from(&ip, path, body.clone()).await);
        app.post_from(&ip, path, with(&body, &solve(&challenge))).await
    };
    solved("/auth/register", details("9811122233")).await.is(202);
    solved("/auth/send-otp", json!({"mobile": "9876543210"})).await.is(200);
    solved("/auth/forgot-password", json!({"mobile": "9876543210"})).await.is(202);
    solved("/auth/resend-otp", json!({"verification_id": bob.verification_id})).await.is(200);
    app.advance(61);
    let ask = async |body: Value| {
        let request = app.request(Method::POST, "/users/me/contacts").bearer_auth(tokens["access_token"].as_str().unwrap());
        app.send(request.header("x-forwarded-for", &ip).json(&body)).await
    };
    let contact = json!({"email": "new@example.com", "current_password": "correct horse"});
    let challenge = asked(ask(contact.clone()).await);
    ask(with(&contact, &solve(&challenge))).await.is(202);
    let resend = async |body: Value| {
        let request = app.request(Method::POST, "/users/resend-code").basic_auth("9876543211", Some("correct horse"));
        app.send(request.header("x-forwarded-for", &ip).json(&body)).await
    };
    let challenge = asked(resend(json!({})).await);
    resend(json!({"challenge": solve(&challenge)})).await.is(200);
    // A kept answer comes before the challenge, whatever solution stands beside it.
    app.advance(61);
    let keyed = async |body: Value| {
        let request = app.request(Method::POST, "/auth/register").header("idempotency-key", "a-key");
        app.send(request.header("x-forwarded-for", &ip).json(&body)).await
    };
    let body = details("9811122244");
    let challenge = asked(keyed(body.clone()).await);
    let first = keyed(with(&body, &solve(&challenge))).await.is(202);
    assert_eq!(keyed(body.clone()).await.is(202)["user_id"], first["user_id"]);
    assert_eq!(keyed(with(&body, "another")).await.is(202)["user_id"], first["user_id"]);
}

async fn a_client_solves_beyond_forty_an_hour(backend: Backend) {
    let app = TestApp::with(backend, guarded().with("ENROLL__ABUSE__GUARD", "off")).await;
    let ip = fresh_ip();
    let mut nth = 0;
    let mut register = async || {
        nth += 1;
        let body = details(&number(nth));
        (app.post_from(&ip, "/auth/register", body.clone()).await, body)
    };
    for _ in 0..8 {
        for _ in 0..5 {
            register().await.0.is(202);
        }
        register().await.0.is_problem(429, "too_many_requests");
        app.advance(61);
    }
    let (answer, body) = register().await;
    let solution = solve(&asked(answer));
    app.post_from(&ip, "/auth/register", with(&body, &solution)).await.is(202);
    asked(app.post_from(&ip, "/auth/register", with(&body, "wrong")).await);
    app.advance(3_600);
    register().await.0.is(202);
    // Where no challenge is asked for, the limit refuses.
    let app = app.restart_with("ENROLL__ABUSE__CHALLENGE", "off").await;
    let mut refused = None;
    for nth in 100..160 {
        let answer = app.post_from(&ip, "/auth/register", details(&number(nth))).await;
        if answer.status == 429 && answer.header("ratelimit-policy") == Some(r#""client-sends";q=40;w=3600"#) {
            refused = Some(nth);
            break;
        }
        app.advance(15);
    }
    assert!(refused.is_some());
}

async fn the_ceilings_ask_and_then_refuse(backend: Backend) {
    let hook = Gateway::start(Answers::With(204, "")).await;
    let options = guarded()
        .with("ENROLL__ABUSE__CEILING_PER_COUNTRY", "3/3600")
        .with("ENROLL__ABUSE__CEILING", "5/3600")
        .with("ENROLL__EVENTS__WEBHOOK__URL", &hook.url)
        .with("ENROLL__EVENTS__WEBHOOK__SECRET", "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
        .with("ENROLL__EVENTS__WEBHOOK__TYPES", "abuse.ceiling_reached");
    let app = TestApp::with(backend, options).await;
    for nth in 0..3 {
        app.post_from(&fresh_ip(), "/auth/register", details(&number(nth))).await.is(202);
    }
    let solved = async |mobile: &str| {
        let (ip, body) = (fresh_ip(), details(mobile));
        let challenge = asked(app.post_from(&ip, "/auth/register", body.clone()).await);
        app.post_from(&ip, "/auth/register", with(&body, &solve(&challenge))).await.is(202);
    };
    for nth in 3..6 {
        solved(&number(nth)).await;
    }
    let refused = app.post_from(&fresh_ip(), "/auth/register", details(&number(6))).await;
    assert_eq!(refused.header("ratelimit-policy"), Some(r#""message-ceiling";q=6;w=3600"#));
    refused.is_problem(429, "too_many_requests");
    solved("+1 415 555 2671").await;
    app.post_from(&fresh_ip(), "/auth/send-otp", json!({"mobile": number(6)})).await.is(200);
    let told = hook.wait_for(2).await; // of the country, and of all
    let regions: std::collections::BTreeSet<String> = told
        .iter()
        .map(|event| serde_json::from_str::<Value>(&event.body).unwrap()["data"]["region"].to_string())
        .collect();
    assert_eq!(regions.into_iter().collect::<Vec<_>>(), [r#""IN""#, "null"]);
    app.advance(3_600 + 600);
    app.post_from(&fresh_ip(), "/auth/register", details(&number(6))).await.is(202);
}

async fn a_guard_that_watches_holds_nobody(backend: Backend) {
    let options = guarded().with("ENROLL__ABUSE__GUARD", "watch").with("ENROLL__ABUSE__CEILING", "5/3600");
    let app = TestApp::with(backend, options).await;
    for nth in 0..30 {
        app.post_from(&fresh_ip(), "/auth/register", details(&number(nth))).await.is(202);
    }
}

async fn a_provider_judges_in_place_of_the_work(backend: Backend) {
    let provider = Gateway::start(Answers::With(200, r#"{"success":true}"#)).await;
    let options = Options::default()
        .with("ENROLL__ABUSE__CHALLENGE", "always")
        .with("ENROLL__ABUSE__SITEVERIFY__URL", format!("{}/siteverify", provider.url))
        .with("ENROLL__ABUSE__SITEVERIFY__SECRET", "a provider's secret")
        .with("ENROLL__ABUSE__SITEVERIFY__SITE_KEY", "a-site-key");
    let app = TestApp::with(backend, options).await;
    let body = details("9876543210");
    let problem = app.post("/auth/register", body.clone()).await.is_problem(403, "challenge_required");
    let expected = json!({"kind": "siteverify", "site_key": "a-site-key", "provider": "127.0.0.1"});
    assert_eq!(problem["challenge"], expected);
    assert!(provider.received().is_empty(), "nothing was there to be judged");
    app.post("/auth/register", with(&body, "a token")).await.is(202);
    let asked = &provider.wait_for(1).await[0].body;
    assert!(asked.contains("secret=a+provider%27s+secret") && asked.contains("response=a+token"), "{asked}");
    // Nobody makes the server ask where no challenge is asked for.
    let asked = provider.received().len();
    let app = app.restart_with("ENROLL__ABUSE__CHALLENGE", "held").await;
    app.post_from(&fresh_ip(), "/auth/register", with(&details("9876543219"), "a token")).await.is(202);
    assert_eq!(provider.received().len(), asked);
    let app = app.restart_with("ENROLL__ABUSE__CHALLENGE", "always").await;
    provider.answer(Answers::With(200, r#"{"success":false,"error-codes":["timeout-or-duplicate"]}"#));
    app.post("/auth/register", with(&details("9876543211"), "a token")).await.is_problem(403, "challenge_required");
    provider.answer(Answers::With(500, "down"));
    app.post("/auth/register", with(&details("9876543211"), "another")).await.is_problem(503, "overloaded");
    provider.answer(Answers::With(200, r#"{"success":true}"#));
    app.post("/auth/register", with(&details("9876543211"), "another")).await.is(202);
}

async fn the_cost_doubles_with_each_further_minimum(backend: Backend) {
    let app = TestApp::with(backend, guarded().with("ENROLL__ABUSE__MINIMUM", 4)).await;
    let mut costs = Vec::new();
    for nth in 0..24 {
        let (ip, body) = (fresh_ip(), details(&number(nth)));
        let answer = app.post_from(&ip, "/auth/register", body.clone()).await;
        if answer.status == 403 {
            let challenge = asked(answer);
            costs.push(challenge["parameters"]["cost"].as_u64().unwrap());
            app.post_from(&ip, "/auth/register", with(&body, &solve(&challenge))).await.is(202);
        }
    }
    assert!(costs.is_sorted(), "{costs:?}");
    costs.dedup();
    assert_eq!(costs, [100, 200, 400, 800, 1_600]);
}

async fn operators_see_and_lift_what_is_held(backend: Backend) {
    let app = TestApp::with(backend, guarded()).await;
    pump(&app).await;
    let started = std::time::Instant::now();
    let held = loop {
        let (printed, errors, code) = app.command(&["--json", "abuse", "list"]).await;
        assert_eq!(code, 0, "{errors}");
        if let Some(line) = printed.lines().next() {
            break serde_json::from_str::<Value>(line).unwrap();
        }
        assert!(started.elapsed().as_secs() < 20, "nothing is held");
    };
    assert_eq!((&held["prefix"], &held["sent"], &held["verified"]), (&json!("+91987650"), &json!(21), &json!(0)));
    let (replayed, errors, code) = app.command(&["--json", "abuse", "replay"]).await;
    assert!(code == 0 && replayed.contains("+91987650"), "{replayed} {errors}");
    let (lifted, errors, code) = app.command(&["--json", "abuse", "lift", "+91 98765"]).await;
    assert_eq!((code, lifted.trim()), (0, r#"{"lifted":["+9198765","+91987650"]}"#), "{errors}");
    let is_free = async || {
        let answer = app.post_from(&fresh_ip(), "/auth/register", details(&number(70))).await;
        answer.status != 403
    };
    while !is_free().await {
        assert!(started.elapsed().as_secs() < 30, "the server does not learn of the lift");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(app.command(&["--json", "abuse", "list"]).await.0, "");
}

/// A request may name an email and send to a mobile: one solution, for the address that was named, is enough.
async fn a_challenge_is_for_the_address_that_was_named(backend: Backend) {
    let app = TestApp::with(backend, guarded()).await;
    let body = json!({"mobile": number(90), "email": "ann@example.com", "password": "correct horse"});
    let ann = app.register(body).await;
    pump(&app).await;
    app.advance(31);
    let ip = fresh_ip();
    let resend = async |body: Value| app.post_from(&ip, "/auth/resend-otp", body).await;
    let named = json!({"email": "ann@example.com", "verification_id": ann.verification_id});
    let challenge = asked(resend(named.clone()).await);
    resend(with(&named, &solve(&challenge))).await.is(200);
    app.advance(31);
    let basic = async |body: Value| {
        let request = app.request(Method::POST, "/users/resend-code");
        let request = request.basic_auth("ann@example.com", Some("correct horse")).header("x-forwarded-for", &ip);
        app.send(request.json(&body)).await
    };
    let challenge = asked(basic(json!({})).await);
    basic(json!({"challenge": solve(&challenge)})).await.is(200);
}
