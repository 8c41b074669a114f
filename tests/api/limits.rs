//! How much passes: sends, guesses, clients, destinations; exactly.

use enroll::domain::DestinationHash;
use futures_util::StreamExt as _;
use serde_json::{Value, json};

use crate::support::{
    Answer, Backend, Options, TestApp,
    app::{PendingRegistration, fresh_ip, other_than},
};

stories!(
    without a pooler:
    a_client_sends_five_a_minute,
    a_destination_gets_five_an_hour_and_ten_a_day,
    what_is_asked_one_way_shuts_no_other,
    tries_run_out_exactly_also_in_parallel,
    callers_without_the_id_have_attempts_of_their_own,
    attempts_where_no_code_lives_end_alike,
    the_destinations_budget_holds_whatever_changes,
    with_the_budget_spent_the_owner_still_gets_in,
    a_client_guesses_fifty_an_hour,
    hashes_are_counted_for_the_client,
    lifting_forgets_what_was_counted,
    ipv6_clients_are_counted_by_their_network,
    short_codes_grow_while_many_are_guessed_at,
    known_networks_get_a_few_more,
    known_networks_get_a_few_more_by_the_one_connection_there_is,
);

async fn a_client_sends_five_a_minute(backend: Backend) {
    let app = TestApp::start(backend).await;
    let register = async |n: u32| {
        let body = json!({"mobile": format!("98765432{n:02}"), "password": "correct horse"});
        app.post_from("192.0.2.1", "/auth/register", body).await
    };
    let at_once = futures_util::future::join_all((0..9).map(register)).await;
    assert_eq!(at_once.iter().filter(|answer| answer.status == 202).count(), 5);
    let refused = at_once.into_iter().find(|answer| answer.status == 429).unwrap();
    assert_eq!(refused.header("ratelimit-policy"), Some(r#""client-sends";q=5;w=60"#));
    refused.is_problem(429, "too_many_requests");
    app.advance(59);
    register(20).await.is_problem(429, "too_many_requests");
    app.advance(1);
    for n in 30..35 {
        register(n).await.is(202);
    }
    register(36).await.is_problem(429, "too_many_requests");
}

async fn a_destination_gets_five_an_hour_and_ten_a_day(backend: Backend) {
    let app = TestApp::start(backend).await;
    let ann = app.register(json!({"mobile": "9876543210", "password": "correct horse"})).await;
    let resend =
        async || app.post_from(&fresh_ip(), "/auth/resend-otp", json!({"verification_id": ann.verification_id})).await;
    for _ in 0..4 {
        app.advance(30);
        resend().await.is(200);
    }
    app.advance(30);
    let refused = resend().await;
    assert_eq!(refused.header("retry-after"), Some("3450"));
    refused.is_problem(429, "too_many_requests");
    // Neither another registration nor a restart changes that.
    let app = app.restart().await;
    let other = json!({"mobile": "9876543210", "password": "another horse"});
    app.post_from(&fresh_ip(), "/auth/register", other.clone()).await.is_problem(429, "too_many_requests");

    for _ in 0..5 {
        app.advance(3_600);
        app.post_from(&fresh_ip(), "/auth/register", other.clone()).await.is(202);
    }
    app.advance(3_600);
    let refused = app.post_from(&fresh_ip(), "/auth/register", other).await;
    assert_eq!(refused.header("ratelimit-policy"), Some(r#""destination-sends";q=10;w=86400"#));
}

async fn what_is_asked_one_way_shuts_no_other(backend: Backend) {
    let app = TestApp::start(backend).await;
    let ann = app.register(json!({"mobile": "9876543210", "password": "correct horse", "login_id": "ann"})).await;
    app.verify(&ann, &ann.otp).await.is(200);
    app.advance(3_600);
    let asks = async |path: &str, body: serde_json::Value| app.post_from(&fresh_ip(), path, body).await;
    let mobile = json!({"mobile": "9876543210"});
    let ways = [
        ("/auth/send-otp", json!({"mobile": "9876543210", "login_id": "mallory"})),
        ("/auth/send-otp", mobile.clone()),
        ("/auth/forgot-password", mobile.clone()),
        ("/auth/resend-otp", mobile.clone()),
        ("/auth/send-otp", json!({"mobile": "9876543210", "login_id": "ann"})),
    ];
    for (path, body) in &ways {
        for _ in 0..5 {
            asks(path, body.clone()).await.is(200 + 2 * u16::from(*path == "/auth/forgot-password"));
            app.advance(30);
        }
        let refused = asks(path, body.clone()).await;
        assert_eq!(refused.header("ratelimit-policy"), Some(r#""destination-sends";q=5;w=3600"#), "{path}");
    }
    // Lifting opens all of them, the pairs with a login id included.
    let (_, errors, code) = app.command(&["limits", "lift", "9876543210"]).await;
    assert_eq!(code, 0, "{errors}");
    for (path, body) in &ways {
        asks(path, body.clone()).await.is(200 + 2 * u16::from(*path == "/auth/forgot-password"));
    }
}

async fn tries_run_out_exactly_also_in_parallel(backend: Backend) {
    let app = TestApp::start(backend).await;
    let ann = app.register(json!({"mobile": "9876543210", "password": "correct horse"})).await;
    let wrong = other_than(&ann.otp);
    let answers = futures_util::future::join_all((0..20).map(|_| app.verify(&ann, &wrong))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 400).count(), 5, "{answers:#?}");
    assert_eq!(answers.iter().filter(|answer| answer.status == 429).count(), 15);
    let dead = app.verify(&ann, &ann.otp).await;
    assert!(dead.header("retry-after").unwrap().parse::<u32>().unwrap() <= 30, "till a new code may be asked for");
    dead.is_problem(429, "too_many_attempts");
    app.advance(30);
    app.post("/auth/resend-otp", json!({"verification_id": ann.verification_id})).await.is(200);
    let otp = app.code(&ann.verification_id, 2).await;
    app.verify(&ann, &otp).await.is(200);
}

async fn callers_without_the_id_have_attempts_of_their_own(backend: Backend) {
    let app = TestApp::start(backend).await;
    let ann = app.register(json!({"mobile": "9876543210", "password": "correct horse"})).await;
    let stranger = async |otp: &str| {
        app.post_from(&fresh_ip(), "/auth/verify-otp", json!({"mobile": "9876543210", "otp": otp})).await
    };
    for _ in 0..5 {
        stranger(&other_than(&ann.otp)).await.is_problem(400, "invalid_code");
    }
    stranger(&ann.otp).await.is_problem(429, "too_many_attempts");
    app.verify(&ann, &ann.otp).await.is(200);
}

async fn attempts_where_no_code_lives_end_alike(backend: Backend) {
    let app = TestApp::start(backend).await;
    let ann = app.register(json!({"mobile": "9876543210", "password": "correct horse"})).await;
    let guess = async |body: serde_json::Value| app.post_from(&fresh_ip(), "/auth/verify-otp", body).await;
    for (nobody, somebody, tries, status) in [
        (json!({"mobile": "9876543211"}), json!({"mobile": "9876543210"}), 5, 400),
        (json!({"mobile": "9876543211", "purpose": "login"}), json!({"mobile": "9876543211", "login_id": "x.y"}), 3, 401),
    ] {
        for mut body in [nobody, somebody] {
            body["otp"] = other_than(&ann.otp).into();
            for _ in 0..tries {
                guess(body.clone()).await.is_problem(status, "invalid_code");
            }
            let spent = guess(body.clone()).await;
            assert!(spent.header("ratelimit-policy").unwrap().starts_with(r#""code-tries";q="#), "{spent:?}");
            spent.is_problem(429, "too_many_attempts");
        }
    }
    app.verify(&ann, &ann.otp).await.is(200);
    app.advance(300);
    guess(json!({"mobile": "9876543211", "otp": "123456"})).await.is_problem(400, "invalid_code");
}

/// Spends the destination's ten guesses an hour, over two codes.
async fn spend_budget(app: &TestApp, ann: &PendingRegistration) {
    let wrong = |otp: &str| other_than(otp);
    for _ in 0..5 {
        app.verify(ann, &wrong(&ann.otp)).await.is_problem(400, "invalid_code");
    }
    app.advance(30);
    app.post_from(&fresh_ip(), "/auth/resend-otp", json!({"verification_id": ann.verification_id})).await.is(200);
    let otp = app.code(&ann.verification_id, 2).await;
    for _ in 0..5 {
        app.verify(ann, &wrong(&otp)).await.is_problem(400, "invalid_code");
    }
    app.advance(30);
}

async fn the_destinations_budget_holds_whatever_changes(backend: Backend) {
    let app = TestApp::start(backend).await;
    let ann = app.register(json!({"mobile": "9876543210", "password": "correct horse"})).await;
    spend_budget(&app, &ann).await;
    let app = app.restart().await;

    // A new registration by a stranger: one guess with its id, none without.
    let bob = app.register(json!({"mobile": "9876543210", "password": "stranger's one"})).await;
    app.verify(&bob, &other_than(&bob.otp)).await.is_problem(400, "invalid_code");
    let spent = app.verify(&bob, &bob.otp).await;
    let retry_after: u32 = spent.header("retry-after").unwrap().parse().unwrap();
    assert!((3_000..3_600).contains(&retry_after), "till the budget frees a guess: {retry_after}");
    assert_eq!(spent.header("ratelimit-policy"), Some(r#""destination-guesses";q=10;w=3600"#));
    spent.is_problem(429, "too_many_attempts");
}

async fn with_the_budget_spent_the_owner_still_gets_in(backend: Backend) {
    let app = TestApp::start(backend).await;
    let ann = app.register(json!({"mobile": "9876543210", "password": "correct horse"})).await;
    spend_budget(&app, &ann).await;
    app.post_from(&fresh_ip(), "/auth/resend-otp", json!({"verification_id": ann.verification_id})).await.is(200);
    let otp = app.code(&ann.verification_id, 3).await;
    app.post("/auth/verify-otp", json!({"mobile": "9876543210", "otp": otp}))
        .await
        .is_problem(429, "too_many_attempts");
    assert_eq!(app.get(&format!("/auth/verifications/{}", ann.verification_id)).await.is(200)["attempts_left"], 1);
    app.verify(&ann, &otp).await.is(200);
}

async fn a_client_guesses_fifty_an_hour(backend: Backend) {
    let app = TestApp::start(backend).await;
    let guess = async |n: u32| -> Answer {
        let body = json!({"mobile": format!("98765431{n:02}"), "otp": "123456"}); // nothing is pending there
        app.post_from("192.0.2.1", "/auth/verify-otp", body).await
    };
    let answers = futures_util::future::join_all((0..60).map(guess)).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 400).count(), 50);
    let refused = guess(0).await;
    assert_eq!(refused.header("ratelimit-policy"), Some(r#""client-guesses";q=50;w=3600"#));
    refused.is_problem(429, "too_many_attempts");
    app.advance(3_601);
    guess(0).await.is_problem(400, "invalid_code");
    // A right guess is given back.
    let ann = app.register(json!({"mobile": "9876543210", "password": "correct horse"})).await;
    app.verify(&ann, &ann.otp).await.is(200);
}

async fn hashes_are_counted_for_the_client(backend: Backend) {
    let app = TestApp::with(backend, Options::default().with("ENROLL__LIMITS__LOGINS_PER_CLIENT", "3/60")).await;
    let register = async |n: u32| {
        let body = json!({"mobile": format!("98765432{n:02}"), "password": "correct horse"});
        app.post_from("192.0.2.1", "/auth/register", body).await
    };
    for n in 0..3 {
        register(n).await.is(202);
    }
    let refused = register(4).await;
    assert_eq!(refused.header("ratelimit-policy"), Some(r#""client-hashes";q=3;w=60"#));
    refused.is_problem(429, "too_many_requests");
}

async fn lifting_forgets_what_was_counted(backend: Backend) {
    let app = TestApp::start(backend).await;
    let ann = app.register(json!({"mobile": "9876543210", "password": "correct horse"})).await;
    spend_budget(&app, &ann).await;
    let hash = DestinationHash::of_key("+919876543210");
    app.store().write().await.unwrap().lift_limits(&hash, app.now()).await.unwrap();
    app.post_from(&fresh_ip(), "/auth/resend-otp", json!({"verification_id": ann.verification_id})).await.is(200);
    let otp = app.code(&ann.verification_id, 3).await;
    for _ in 0..4 {
        app.verify(&ann, &other_than(&otp)).await.is_problem(400, "invalid_code");
    }
    app.verify(&ann, &otp).await.is(200);
}

async fn ipv6_clients_are_counted_by_their_network(backend: Backend) {
    let app = TestApp::start(backend).await;
    for n in 0..6 {
        let body = json!({"mobile": format!("987654321{n}"), "password": "correct horse"});
        let answer = app.post_from(&format!("2001:db8:5:5::{n}"), "/auth/register", body).await;
        assert_eq!(answer.status, if n < 5 { 202 } else { 429 });
    }
    // Four times as many from all of its /56, sixteen times from all of its /48.
    let mut mobile = 9_000_000_000_u64;
    let mut passed = async |networks: std::ops::Range<u32>, network: &dyn Fn(u32) -> String| {
        let mut passed = 0;
        for n in networks {
            mobile += 1;
            let body = json!({"mobile": mobile.to_string()});
            passed += u32::from(app.post_from(&network(n), "/auth/send-otp", body).await.status == 200);
        }
        passed
    };
    assert_eq!(passed(0..40, &|n| format!("2001:db8:6:{n:x}::1")).await, 20, "of one /56");
    assert_eq!(passed(1..100, &|n| format!("2001:db8:6:{n:x}00::1")).await, 60, "the rest of the /48");
    assert_eq!(passed(0..3, &|n| format!("2001:db8:7:{n:x}::1")).await, 3, "another /48");
}

/// More networks than there are counters in memory; a fleet counts in Redis.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_fills_the_counters_in_memory_is_refused_first() {
    let app = TestApp::start(Backend::Embedded).await;
    let wrong = json!({"verification_id": uuid::Uuid::nil(), "otp": "123456"});
    let guesses = (0..40_000_u32).map(|n| {
        let (app, wrong, client) = (&app, wrong.clone(), format!("2001:db8:{:x}:{:x}::1", n % 0xfff0, n));
        async move { app.post_from(&client, "/auth/verify-otp", wrong).await.status }
    });
    let statuses: Vec<u16> = futures_util::stream::iter(guesses).buffer_unordered(64).collect().await;
    assert!(statuses.iter().all(|status| [400, 429].contains(status)), "never an outage");
    assert!(statuses.contains(&429), "the crowd is counted as one");
    let ann = app.register(json!({"mobile": "9876543210", "password": "correct horse"})).await;
    app.verify(&ann, &other_than(&ann.otp)).await.is(400);
    app.verify(&ann, &ann.otp).await.is(200);
}

/// As many codes as memory has room for, asked for from one provider's networks, and within the limits of each; the
/// statuses of the answers.
async fn fill_with_codes(app: &TestApp, path: &str, details: fn(u32) -> Value) -> Vec<u16> {
    let networks = (0..20_u32).flat_map(|site| (0..16_u32).map(move |nth| (site, nth)));
    let networks: Vec<String> =
        networks.map(|(site, nth)| format!("2001:db8:{site:x}:{:x}::1", ((nth / 4) << 8) + nth % 4)).collect();
    let asked = (0..1_600_u32).map(|n| {
        let ip = &networks[usize::try_from(n).unwrap() % networks.len()];
        async move { app.post_from(ip, path, details(n)).await.status }
    });
    futures_util::stream::iter(asked).buffered(16).collect().await
}

fn count(statuses: &[u16], status: u16) -> usize {
    statuses.iter().filter(|other| **other == status).count()
}

/// A fleet has its codes in Redis.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_fills_the_codes_in_memory_solves_first() {
    let app = TestApp::with(Backend::Embedded, Options::default().with_memory_for(1_500)).await;
    let details = |n| json!({"email": format!("nobody-{n}@example.com"), "password": "correct horse"});
    let statuses = fill_with_codes(&app, "/auth/register", details).await;
    let (taken, asked) = (count(&statuses, 202), count(&statuses, 403));
    assert!((750..770).contains(&taken) && taken + asked == 1_600, "{taken} {asked}");
    let neighbour = app.post_from("2001:db8:ffff::1", "/auth/register", details(4_000)).await;
    assert_eq!(neighbour.is_problem(403, "challenge_required")["challenge"]["kind"], "pow");
    for from in ["2001:4db8::1", "192.0.2.7"] {
        let details = json!({"email": format!("ann@{}.example.com", from.len()), "password": "correct horse"});
        let ann = app.post_from(from, "/auth/register", details).await.is(202);
        let id = ann["verification"]["verification_id"].as_str().unwrap();
        let otp = app.code(id, 1).await;
        let proof = |otp: &str| json!({"verification_id": id, "otp": otp});
        app.post_from(from, "/auth/verify-otp", proof(&other_than(&otp))).await.is(400);
        app.post_from(from, "/auth/verify-otp", proof(&otp)).await.is(200);
    }
    // Codes end, and leave their room.
    app.advance(61);
    app.post_from("2001:db8:ffff::1", "/auth/register", details(4_000)).await.is(202);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_fills_the_codes_in_memory_is_refused_where_nobody_solves() {
    let options = Options::default().with_memory_for(1_500).with("ENROLL__ABUSE__CHALLENGE", "off");
    let app = TestApp::with(Backend::Embedded, options).await;
    let details = |n| json!({"email": format!("nobody-{n}@example.com"), "password": "correct horse"});
    let statuses = fill_with_codes(&app, "/auth/register", details).await;
    let (taken, refused) = (count(&statuses, 202), count(&statuses, 429));
    assert!((1_125..1_145).contains(&taken) && taken + refused == 1_600, "{taken} {refused}");
    let neighbour = app.post_from("2001:db8:ffff::1", "/auth/register", details(4_000)).await;
    assert_eq!(neighbour.header("ratelimit-policy"), Some(r#""codes-in-memory";q=1125;w=60"#));
    neighbour.is_problem(429, "too_many_requests");
    let ann = app.register(json!({"email": "ann@example.com", "password": "correct horse"})).await;
    app.verify(&ann, &ann.otp).await.is(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_for_codes_of_nobody_solves_first() {
    let app = TestApp::with(Backend::Embedded, Options::default().with_memory_for(1_500)).await;
    let ann = app.register(json!({"mobile": "9876543210", "password": "correct horse"})).await;
    app.verify(&ann, &ann.otp).await.is(200);
    app.advance(31);
    let nobody = |n| json!({"mobile": format!("98700{n:05}")});
    let statuses = fill_with_codes(&app, "/auth/send-otp", nobody).await;
    let (taken, asked) = (count(&statuses, 200), count(&statuses, 403));
    assert!((375..395).contains(&taken) && taken + asked == 1_600, "{taken} {asked}");
    for path in ["/auth/send-otp", "/auth/forgot-password", "/auth/resend-otp"] {
        for known in [json!({"mobile": "9876543210"}), nobody(4_000)] {
            app.post_from("2001:db8:ffff::1", path, known.clone()).await.is_problem(403, "challenge_required");
            let status = app.post_from(&fresh_ip(), path, known).await.status;
            assert_eq!(status, if path.ends_with("forgot-password") { 202 } else { 200 }, "{path}");
        }
    }
}

/// The attack that proved two of 3,300 made-up mailboxes: three guesses at each code of four digits.
async fn short_codes_grow_while_many_are_guessed_at(backend: Backend) {
    let app = TestApp::with(backend, Options::default().with("ENROLL__LIMITS__WRONG_CODES", "20/3600")).await;
    let register = async |nth: u32| {
        let body = json!({"email": format!("made-up-{nth}@example.com"), "password": "correct horse"});
        app.register(body).await
    };
    let before = register(0).await;
    assert_eq!(before.otp.len(), 4);
    for nth in 1..=7 {
        let mailbox = register(nth).await;
        for _ in 0..3 {
            app.verify(&mailbox, &other_than(&mailbox.otp)).await.is_problem(400, "invalid_code");
        }
    }
    let after = register(100).await;
    assert_eq!(after.otp.len(), 6, "21 were wrong");
    app.verify(&before, &before.otp).await.is(200);
    let app = app.restart().await;
    app.verify(&after, "1234").await.is_invalid(&[("otp", "invalid")]);
    if backend != Backend::Embedded {
        app.verify(&after, &after.otp).await.is(200);
    }
    app.advance(3_601 + 300);
    let later = app.register(json!({"email": "later@example.com", "password": "correct horse"})).await;
    assert_eq!(later.otp.len(), 4);
}

async fn known_networks_get_a_few_more(backend: Backend) {
    let app = TestApp::start(backend).await;
    let ann = app.register(json!({"mobile": "9876543210", "password": "correct horse"})).await;
    let home = "203.0.113.7";
    let proof = json!({"verification_id": ann.verification_id, "otp": ann.otp});
    app.post_from(home, "/auth/verify-otp", proof).await.is(200);
    let ask = async |ip: &str| {
        app.advance(31);
        app.post_from(ip, "/auth/send-otp", json!({"mobile": "9876543210"})).await
    };
    for _ in 0..5 {
        ask(&fresh_ip()).await.is(200);
    }
    ask(&fresh_ip()).await.is_problem(429, "too_many_requests");
    for _ in 0..2 {
        ask("203.0.113.99").await.is(200); // of the same /24
    }
    ask(home).await.is_problem(429, "too_many_requests");
    app.advance(3_600);
    let concealed = app.restart_with("ENROLL__PRIVACY__CONCEAL_ACCOUNTS", true).await;
    let ask = async |ip: &str| {
        concealed.advance(31);
        concealed.post_from(ip, "/auth/forgot-password", json!({"mobile": "9876543210"})).await
    };
    for _ in 0..5 {
        ask(&fresh_ip()).await.is(202);
    }
    ask(home).await.is_problem(429, "too_many_requests");
}

async fn known_networks_get_a_few_more_by_the_one_connection_there_is(backend: Backend) {
    let app = TestApp::with(backend, Options::default().with("ENROLL__DATABASE__MAX_CONNECTIONS", 1)).await;
    let ann = app.register(json!({"mobile": "9876543210", "password": "correct horse"})).await;
    let home = "203.0.113.7";
    let proof = json!({"verification_id": ann.verification_id, "otp": ann.otp});
    let tokens = app.post_from(home, "/auth/verify-otp", proof).await.is(200);
    let ask = async |ip: &str| {
        app.advance(31);
        let body = json!({"email": "ann@example.com", "current_password": "correct horse"});
        let request = app.request(reqwest::Method::POST, "/users/me/contacts").header("x-forwarded-for", ip);
        app.send(request.bearer_auth(tokens["access_token"].as_str().unwrap()).json(&body)).await
    };
    for _ in 0..5 {
        ask(&fresh_ip()).await.is(202);
    }
    ask(&fresh_ip()).await.is_problem(429, "too_many_requests");
    for _ in 0..2 {
        ask(home).await.is(202);
    }
    ask(home).await.is_problem(429, "too_many_requests");
}
