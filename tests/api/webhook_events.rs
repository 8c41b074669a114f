//! Events reach a webhook: signed, in order for each account, until it has confirmed them or three days are over.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use enroll::{domain::EventSink, store::StoredEvent};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    Backend, Options, TestApp,
    fake_provider::{Answers, Gateway, Received},
};

stories!(
    without a pooler:
    each_event_is_a_signed_cloud_event,
    a_receiver_gets_the_types_that_it_asked_for,
    a_failing_account_waits_and_others_go_on,
    what_is_refused_for_three_days_is_set_aside_for_a_retry,
    an_event_waits_for_a_receiver_that_is_away,
    a_webhook_that_is_no_more_leaves_nothing_behind,
    events_of_an_account_describe_it_where_that_is_wanted,
);

const SECRET: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const PREVIOUS: &str = "HxwdHBsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA=";
const PASSWORD: &str = "correct horse";
const FIRST: [&str; 4] = ["registration.requested", "user.registered", "user.activated", "user.logged_in"];
const DAY: u64 = 86_400;

fn to(gateway: &Gateway) -> Options {
    Options::unlimited()
        .with("ENROLL__EVENTS__WEBHOOK__URL", format!("{}/events?of=enroll", gateway.url))
        .with("ENROLL__EVENTS__WEBHOOK__SECRET", format!("whsec_{SECRET}"))
}

/// Registers a mobile and proves it; the account's id.
async fn join(app: &TestApp, mobile: &str) -> String {
    let pending = app.register(json!({"mobile": mobile, "password": PASSWORD})).await;
    app.verify(&pending, &pending.otp).await.is(200)["user"]["id"].as_str().unwrap().to_owned()
}

fn event(received: &Received) -> Value {
    serde_json::from_str(&received.body).unwrap()
}

/// The types that came for an account, each event once, in the order of their first coming.
fn kinds(gateway: &Gateway, user: &str) -> Vec<String> {
    let mut seen = std::collections::BTreeSet::new();
    let events = gateway.received().into_iter().map(|received| event(&received));
    let of_user = events.filter(|event| event["subject"] == user && seen.insert(event["id"].to_string()));
    of_user.map(|event| event["type"].as_str().unwrap().to_owned()).collect()
}

async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let started = Instant::now();
    while !holds().await {
        assert!(started.elapsed() < Duration::from_secs(20), "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn stored(app: &TestApp) -> Vec<StoredEvent> {
    app.store().read().await.unwrap().stored_events(1_000).await.unwrap()
}

async fn nothing_is_left(app: &TestApp) {
    until("every event is gone", async || stored(app).await.is_empty()).await;
}

async fn each_event_is_a_signed_cloud_event(backend: Backend) {
    let gateway = Gateway::start(Answers::With(204, "")).await;
    let options = to(&gateway).with("ENROLL__EVENTS__WEBHOOK__PREVIOUS_SECRET", format!("whsec_{PREVIOUS}"));
    let app = TestApp::with(backend, options).await;
    let ann = join(&app, "9876543210").await;
    let received = gateway.wait_for(4).await;
    for received in &received {
        let (event, header) = (event(received), |name: &str| received.headers[name].to_str().unwrap());
        assert_eq!(received.path, "/events?of=enroll");
        assert_eq!(header("content-type"), "application/cloudevents+json");
        assert_eq!((&event["specversion"], &event["subject"]), (&json!("1.0"), &json!(ann)));
        assert_eq!(header("webhook-id"), event["id"].as_str().unwrap());
        assert!(!received.body.contains("98765"), "{event}");
        // As a receiver verifies it, which has one of the two secrets.
        let at: i64 = header("webhook-timestamp").parse().unwrap();
        let now = enroll::domain::Clock::now(&enroll::domain::SystemClock).seconds();
        assert!((now - 20..=now).contains(&at), "{at}");
        let signed = format!("{}.{at}.{}", header("webhook-id"), received.body);
        let signatures = [SECRET, PREVIOUS].map(|secret| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, &STANDARD.decode(secret).unwrap());
            format!("v1,{}", STANDARD.encode(hmac::sign(&key, signed.as_bytes())))
        });
        assert_eq!(header("webhook-signature"), signatures.join(" "));
    }
    assert_eq!(kinds(&gateway, &ann), FIRST);
    nothing_is_left(&app).await;
    assert_eq!(gateway.received().len(), 4, "each came once");
}

async fn a_receiver_gets_the_types_that_it_asked_for(backend: Backend) {
    let gateway = Gateway::start(Answers::With(200, "thanks")).await;
    let app =
        TestApp::with(backend, to(&gateway).with("ENROLL__EVENTS__WEBHOOK__TYPES", "user.*, session.revoked")).await;
    let pending = app.register(json!({"mobile": "9876543210", "password": PASSWORD})).await;
    let ann = app.verify(&pending, &pending.otp).await.is(200);
    app.post("/auth/login", json!({"mobile": "9876543210", "password": "wrong horse"})).await.is(401);
    app.post("/auth/logout", json!({"refresh_token": ann["refresh_token"]})).await.is(204);
    nothing_is_left(&app).await;
    let chosen = ["user.registered", "user.activated", "user.logged_in", "session.revoked"];
    until("the last one came", async || gateway.received().len() >= 4).await;
    assert_eq!(kinds(&gateway, ann["user"]["id"].as_str().unwrap()), chosen);
    assert_eq!(gateway.received().len(), 4);
}

async fn a_failing_account_waits_and_others_go_on(backend: Backend) {
    let gateway = Gateway::start(Answers::With(204, "")).await;
    let app = TestApp::with(backend, to(&gateway)).await;
    let ann = join(&app, "9876543210").await;
    gateway.wait_for(4).await;
    gateway.answer(Answers::RefuseNaming(ann.clone()));
    let login = |mobile: &str| json!({"mobile": mobile, "password": PASSWORD});
    for _ in 0..3 {
        app.post("/auth/login", login("9876543210")).await.is(200);
    }
    for n in 1..=5 {
        let bob = join(&app, &format!("987654330{n}")).await;
        until("bob's events come", async || kinds(&gateway, &bob) == FIRST).await;
    }
    // The first of three is tried, and none behind it; again when its time has come.
    let tries = |received: Vec<Received>| {
        let mut tries = BTreeMap::<String, usize>::new();
        let of_ann = received.into_iter().skip(4).filter(|received| event(received)["subject"] == ann.as_str());
        of_ann.for_each(|received| *tries.entry(event(&received)["id"].to_string()).or_default() += 1);
        tries
    };
    for seconds in [2, 4, 8] {
        app.advance(seconds);
        let before = tries(gateway.received()).values().sum::<usize>();
        until("one more try", async || tries(gateway.received()).values().sum::<usize>() > before).await;
        assert_eq!(tries(gateway.received()).len(), 1, "it is the same event");
    }
    app.advance(16);
    gateway.answer(Answers::With(204, ""));
    let logged_in = |count: usize| [&FIRST[..], &vec!["user.logged_in"; count]].concat();
    until("ann's events come", async || kinds(&gateway, &ann) == logged_in(3)).await;
    let times: Vec<_> = gateway.received().iter().map(event).collect();
    let times: Vec<&str> =
        times.iter().filter(|event| event["subject"] == ann.as_str()).map(|event| event["time"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "in their order: {times:?}");
    nothing_is_left(&app).await;
}

async fn what_is_refused_for_three_days_is_set_aside_for_a_retry(backend: Backend) {
    let gateway = Gateway::start(Answers::With(410, "gone")).await;
    let app = TestApp::with(backend, to(&gateway)).await;
    let ann = join(&app, "9876543210").await;
    gateway.wait_for(1).await;
    app.advance(3 * DAY - 60);
    gateway.wait_for(2).await;
    assert!(stored(&app).await.iter().all(|event| event.webhook_aside_at.is_none()), "not yet");
    app.advance(11 * 60);
    until("all four are set aside", async || {
        let stored = stored(&app).await;
        stored.len() == 4 && stored.iter().all(|event| event.webhook_aside_at.is_some())
    })
    .await;
    let came = gateway.received().len();
    assert_eq!(app.store().read().await.unwrap().event_backlog(EventSink::Webhook).await.unwrap().0, 0);

    let (listed, _, code) = app.command(&["events", "list", "--sink", "webhook", "--json"]).await;
    let listed: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<(&str, &str, &str)> = listed
        .iter()
        .map(|event| ["type", "state", "user_id"].map(|field| event[field].as_str().unwrap()).into())
        .collect();
    assert_eq!((told, code), (FIRST.map(|kind| (kind, "set_aside", ann.as_str())).to_vec(), 0));
    let (of_the_log, ..) = app.command(&["events", "list", "--sink", "rabbitmq"]).await;
    assert_eq!(of_the_log, "", "the log has them");
    let (retried, ..) = app.command(&["events", "retry", "--sink", "rabbitmq", "--json"]).await;
    assert_eq!(retried.trim(), r#"{"retried":0}"#);
    assert_eq!(gateway.received().len(), came, "nothing is posted meanwhile");

    gateway.answer(Answers::With(204, ""));
    let (retried, ..) = app.command(&["events", "retry", "--sink", "webhook", "--json"]).await;
    assert_eq!(retried.trim(), r#"{"retried":4}"#);
    nothing_is_left(&app).await;
    assert_eq!(kinds(&gateway, &ann), FIRST);
}

async fn an_event_waits_for_a_receiver_that_is_away(backend: Backend) {
    let gateway = Gateway::start(Answers::With(204, "")).await;
    let nowhere = format!("http://127.0.0.1:{}", crate::support::servers::free_port());
    let app = TestApp::with(backend, to(&gateway).with("ENROLL__EVENTS__WEBHOOK__URL", nowhere)).await;
    let ann = join(&app, "9876543210").await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(stored(&app).await.len(), 4, "the log has them, the webhook has not");
    let app = app.restart_with("ENROLL__EVENTS__WEBHOOK__URL", &gateway.url).await;
    nothing_is_left(&app).await;
    assert_eq!(kinds(&gateway, &ann), FIRST);
}

async fn a_webhook_that_is_no_more_leaves_nothing_behind(backend: Backend) {
    let gateway = Gateway::start(Answers::With(500, "")).await;
    let app = TestApp::with(backend, to(&gateway)).await;
    join(&app, "9876543210").await;
    gateway.wait_for(1).await;
    assert!(!stored(&app).await.is_empty());
    let app = app.restart_with("ENROLL__EVENTS__WEBHOOK__URL", "").await;
    nothing_is_left(&app).await;
}

async fn events_of_an_account_describe_it_where_that_is_wanted(backend: Backend) {
    let gateway = Gateway::start(Answers::With(204, "")).await;
    let app = TestApp::with(backend, to(&gateway).with("ENROLL__EVENTS__PERSONAL_DATA", true)).await;
    let body = json!({"mobile": "9876543210", "email": "ann@example.com", "login_id": "ann.1", "name": "Ann",
        "locale": "en-IN", "password": PASSWORD});
    let pending = app.register(body).await;
    let ann = app.verify(&pending, &pending.otp).await.is(200);
    let token = ann["access_token"].as_str().unwrap();
    let mut me = app.me(token).await.is(200);
    for left_out in ["data", "claims"] {
        me.as_object_mut().unwrap().remove(left_out);
    }
    app.import("email,name\nbob@example.com,Bob\n").await;
    let delete = app.request(Method::DELETE, "/users/me").bearer_auth(token);
    app.send(delete.json(&json!({"current_password": PASSWORD}))).await.is(204);
    let events: Vec<Value> = gateway.wait_for(7).await.iter().map(event).collect();
    nothing_is_left(&app).await;
    let user_of = |name: &str, kind: &str| {
        let of_kind = events.iter().filter(|event| event["type"] == kind);
        let mut users = of_kind.map(|event| &event["data"]["user"]).filter(|user| user["name"] == name);
        users.next().unwrap_or(&Value::Null).clone()
    };
    for kind in ["user.registered", "user.activated", "user.logged_in"] {
        assert_eq!(user_of("Ann", kind), me, "{kind}");
    }
    assert_eq!(user_of("Bob", "user.activated")["email"], "bob@example.com");
    for event in &events {
        let described = ["user.registered", "user.activated", "user.logged_in"].contains(&event["type"].as_str().unwrap());
        assert_eq!(event["data"]["user"].is_object(), described, "{event:#}");
        assert!(!event.to_string().contains("hash") && !event.to_string().contains(PASSWORD));
    }
    // What still waits for a deleted account describes nobody.
    gateway.answer(Answers::With(500, ""));
    let carl = app.register(json!({"mobile": "9876543219", "name": "Carl", "password": PASSWORD})).await;
    let carl = app.verify(&carl, &carl.otp).await.is(200);
    let before = gateway.received().len();
    let delete = app.request(Method::DELETE, "/users/me").bearer_auth(carl["access_token"].as_str().unwrap());
    app.send(delete.json(&json!({"current_password": PASSWORD}))).await.is(204);
    gateway.answer(Answers::With(204, ""));
    until("the rest comes", async || {
        app.advance(2);
        stored(&app).await.is_empty()
    })
    .await;
    let late: Vec<Value> = gateway.received().iter().skip(before).map(event).collect();
    assert!(late.iter().any(|event| event["type"] == "user.deleted"));
    assert!(late.iter().all(|event| event["data"]["user"].is_null() && !event.to_string().contains("Carl")), "{late:#?}");
    let told = crate::support::secrets::logged_events();
    assert!(told.iter().all(|(_, data)| data["user"].is_null()), "the log describes nobody");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_of_a_fleet_post_each_event_once() {
    let gateway = Gateway::start(Answers::With(204, "")).await;
    let app = TestApp::with(Backend::Fleet, to(&gateway)).await;
    let other = app.another_node().await;
    let ann = join(&app, "9876543210").await;
    for n in 0..20 {
        let node = if n % 2 == 0 { &app } else { &other };
        node.post("/auth/login", json!({"mobile": "9876543210", "password": PASSWORD})).await.is(200);
    }
    nothing_is_left(&app).await;
    tokio::time::sleep(Duration::from_millis(1_200)).await; // the other node looks meanwhile
    assert_eq!(gateway.received().len(), 24, "each once");
    assert_eq!(kinds(&gateway, &ann).len(), 24);
}
