//! What happens is told to other programs, in order, once it is committed.

use reqwest::Method;
use serde_json::{Value, json};

use super::code_login::{PASSWORD, account, id, prove, send};
use crate::support::{Answer, Backend, Options, TestApp, app::fresh_ip, secrets::logged_events};

stories!(the_events_of_an_account_come_in_order, a_failed_call_publishes_no_event);

async fn call(app: &TestApp, method: Method, path: &str, tokens: &Value, body: Value) -> Answer {
    let token = tokens["access_token"].as_str().unwrap();
    app.send(app.request(method, path).bearer_auth(token).json(&body)).await
}

/// What was told of a user, once there are so many events of this type; other stories may share the log.
async fn events(user: &Value, kind: &str, count: usize) -> Vec<(String, Value)> {
    let started = std::time::Instant::now();
    loop {
        let events: Vec<_> = logged_events().into_iter().filter(|(_, data)| data["user_id"] == *user).collect();
        if events.iter().filter(|(other, _)| other == kind).count() >= count {
            return events;
        }
        assert!(started.elapsed().as_secs() < 10, "{count} of {kind}: {events:#?}");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

async fn the_events_of_an_account_come_in_order(backend: Backend) {
    let app = TestApp::with(backend, Options::unlimited()).await;
    let ann = account(&app).await;
    let by = |password: &str| json!({"login_id": "ann.1", "password": password});
    let login = async |password: &str| app.post("/auth/login", by(password)).await;
    login("wrong horse").await.is_problem(401, "invalid_credentials");
    events(id_of(&ann), "login.failed", 1).await;
    app.post("/auth/login", json!({"login_id": "nobody", "password": PASSWORD})).await.is(401);
    events(&Value::Null, "login.failed", 1).await;
    let second = login(PASSWORD).await.is(200);
    call(&app, Method::POST, "/auth/logout", &second, json!({})).await.is(204);
    let sent = send(&app, json!({"mobile": "9876543210"})).await.is(200);
    let code = json!({"verification_id": id(&sent), "otp": app.code(id(&sent), 1).await});
    let third = prove(&app, code.clone()).await.is(200);
    prove(&app, code).await.is(401);
    events(id_of(&ann), "login.failed", 2).await;
    let listed = call(&app, Method::GET, "/users/me/sessions", &third, json!({})).await.is(200);
    let first = listed["sessions"][1]["id"].as_str().unwrap().to_owned();
    call(&app, Method::DELETE, &format!("/users/me/sessions/{first}"), &third, json!({})).await.is(204);
    let new = json!({"current_password": PASSWORD, "new_password": "a new horse"});
    call(&app, Method::POST, "/users/me/password", &third, new).await.is(204);
    let contact =
        call(&app, Method::POST, "/users/me/contacts", &third, json!({"email": "ann@example.com"})).await.is(202);
    let code = json!({"verification_id": id(&contact), "otp": app.code(id(&contact), 1).await});
    call(&app, Method::POST, "/users/me/contacts/verify", &third, code).await.is(200);
    call(&app, Method::POST, "/auth/logout-all", &third, json!({})).await.is(204);
    let last = app.post("/auth/login", by("a new horse")).await.is(200);
    call(&app, Method::DELETE, "/users/me", &last, json!({"current_password": "a new horse"})).await.is(204);

    let events = events(id_of(&ann), "user.deleted", 1).await;
    let kinds: Vec<&str> = events.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "registration.requested",
            "user.registered",
            "user.activated",
            "user.logged_in",
            "login.failed",
            "user.logged_in",
            "session.revoked",
            "user.logged_in",
            "login.failed",
            "session.revoked",
            "password.changed",
            "session.revoked",
            "contact.changed",
            "session.revoked",
            "user.logged_in",
            "user.deleted",
        ]
    );
    let told = |place: usize, field: &str| events[place].1[field].clone();
    for (_, data) in &events {
        let text = data.to_string();
        assert!(!text.contains("98765") && !text.contains('@') && !text.contains("ann.1"), "{text}");
    }
    assert_eq!((told(2, "channel"), told(3, "method")), (json!("sms"), json!("code")));
    assert_eq!((told(4, "method"), told(8, "method")), (json!("password"), json!("code")));
    assert_eq!((told(6, "reason"), told(9, "session_id")), (json!("logged_out"), json!(first)));
    assert_eq!((told(11, "session_id"), told(11, "reason")), (Value::Null, json!("password_changed")));
    assert_eq!(told(12, "channel"), json!("email"));
}

fn id_of(tokens: &Value) -> &Value {
    &tokens["user"]["id"]
}

async fn a_failed_call_publishes_no_event(backend: Backend) {
    let app = TestApp::start(backend).await;
    account(&app).await;
    let taken = json!({"mobile": "9876543210", "password": "another horse"});
    app.post_from(&fresh_ip(), "/auth/register", taken).await.is(409);
    let bob = app.register(json!({"mobile": "9876543211", "login_id": "ann.2", "password": PASSWORD})).await;
    let eve = app.register(json!({"mobile": "9876543212", "login_id": "ann.2", "password": PASSWORD})).await;
    app.verify(&eve, "000000").await.is_problem(400, "invalid_code");
    let bob = app.verify(&bob, &bob.otp).await.is(200);
    app.verify(&eve, &eve.otp).await.is(409);
    events(id_of(&bob), "user.logged_in", 1).await;
    app.advance(1);
    app.post("/auth/logout", json!({"refresh_token": bob["refresh_token"]})).await.is(204);
    events(id_of(&bob), "session.revoked", 1).await; // what came before it has come
    let of_eve = events(&json!(eve.user_id), "registration.requested", 1).await;
    assert_eq!(of_eve.len(), 1, "{of_eve:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_of_a_fleet_publish_each_event_once() {
    let app = TestApp::with(Backend::Fleet, Options::unlimited()).await;
    let other = app.another_node().await;
    let ann = account(&app).await;
    for n in 0..20 {
        let node = if n % 2 == 0 { &app } else { &other };
        node.post("/auth/login", json!({"login_id": "ann.1", "password": PASSWORD})).await.is(200);
    }
    let told = events(id_of(&ann), "user.logged_in", 21).await;
    tokio::time::sleep(std::time::Duration::from_millis(1_200)).await; // the other node looks meanwhile
    assert_eq!(events(id_of(&ann), "user.logged_in", 21).await.len(), told.len());
}
