//! Accounts without a password: registering, and signing in or up by one call.

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    code_login::{PASSWORD, account, id, prove, send},
    concealment::{shape, text},
    contacts::{call, login},
};
use crate::support::{Answer, Backend, Options, TestApp, app::fresh_ip, app::other_than};

stories!(
    a_registration_needs_no_password_where_it_is_optional,
    registrations_without_a_password_from_one_network_count_as_one,
    one_call_signs_in_or_up,
    nothing_tells_a_sign_in_from_a_sign_up_before_the_proof,
    what_a_code_does_is_decided_when_it_is_right,
    two_codes_of_nobody_make_one_account,
    a_plain_code_beside_a_sign_up_is_one_too,
    details_without_the_id_come_from_the_network_that_verifies,
    the_first_password_is_set_in_a_fresh_session_or_by_a_reset,
    who_may_not_register_is_not_signed_up,
    the_guard_counts_who_may_sign_up,
);

pub fn optional() -> Options {
    Options::default().with("ENROLL__REGISTRATIONS__PASSWORD", "optional")
}

fn unlimited() -> Options {
    Options::unlimited().with("ENROLL__REGISTRATIONS__PASSWORD", "optional")
}

fn verification_id(answer: &Value) -> Value {
    answer["verification"]["verification_id"].clone()
}

/// Asks for a code with `register: true`, and types it with its id.
pub async fn sign_in_or_up(app: &TestApp, mut body: Value) -> Value {
    body["register"] = true.into();
    let sent = send(app, body).await.is(200);
    prove(app, json!({"verification_id": id(&sent), "otp": app.code(id(&sent), 1).await})).await.is(200)
}

async fn a_registration_needs_no_password_where_it_is_optional(backend: Backend) {
    let app = TestApp::start(backend).await;
    app.post("/auth/register", json!({"mobile": "9876543210"})).await.is_invalid(&[("password", "required")]);
    send(&app, json!({"mobile": "9876543210", "register": true})).await.is_invalid(&[("register", "invalid")]);

    let app = TestApp::with(backend, optional()).await;
    let ann = app.register(json!({"mobile": "9876543210", "name": "Ann", "login_id": "ann.1"})).await;
    // HTTP Basic finds no such registration, and nobody logs in to it.
    for password in ["", "correct horse"] {
        app.basic("/users/activate", "9876543210", password, json!({"otp": ann.otp}))
            .await
            .is_problem(401, "invalid_credentials");
    }
    login(&app, json!({"mobile": "9876543210", "password": PASSWORD})).await.is_problem(401, "invalid_credentials");
    let opened = app.verify(&ann, &ann.otp).await.is(200);
    assert_eq!(opened["is_new"], true);
    let user = &opened["user"];
    assert_eq!((&user["has_password"], &user["name"], &user["mobile_verified"]), (&json!(false), &json!("Ann"), &json!(true)));
    login(&app, json!({"mobile": "9876543210", "password": PASSWORD})).await.is_problem(401, "invalid_credentials");
    // With a password it is as ever.
    let bob = app.register(json!({"mobile": "9876543211", "password": PASSWORD})).await;
    let opened = app.verify(&bob, &bob.otp).await.is(200);
    assert_eq!((&opened["user"]["has_password"], &opened["is_new"]), (&json!(true), &json!(true)));
    let again = login(&app, json!({"mobile": "9876543211", "password": PASSWORD})).await.is(200);
    assert_eq!(again["is_new"], false);
    let short = app.post("/auth/register", json!({"mobile": "9876543212", "password": "short"})).await;
    short.is_invalid(&[("password", "too_short")]);
}

async fn registrations_without_a_password_from_one_network_count_as_one(backend: Backend) {
    let app = TestApp::with(backend, optional()).await;
    let (home, elsewhere) = (fresh_ip(), fresh_ip());
    let body = json!({"mobile": "9876543210"});
    let keyed = |key: &str| {
        let request = app.request(Method::POST, "/auth/register").header("x-forwarded-for", &home);
        request.header("idempotency-key", key).json(&body)
    };
    let first = app.send(keyed("a")).await.is(202);
    assert_eq!(app.send(keyed("a")).await.is(202)["user_id"], first["user_id"], "a double click");
    app.post_from(&home, "/auth/register", body.clone()).await.is_problem(429, "too_many_requests");
    app.advance(31);
    let second = app.post_from(&home, "/auth/register", body.clone()).await.is(202);
    assert_ne!(second["user_id"], first["user_id"]);
    let otp = app.code(id(&second), 1).await;
    // Without the id the newest of the network is meant, and for the other who has its id.
    let wrong = json!({"mobile": "9876543210", "otp": other_than(&otp)});
    app.post_from(&elsewhere, "/auth/verify-otp", wrong).await.is_problem(400, "invalid_code");
    app.advance(31);
    let third = app.post_from(&elsewhere, "/auth/register", body.clone()).await.is(202);
    let of_third = app.code(id(&third), 1).await;
    let typed = |otp: &str| json!({"mobile": "9876543210", "otp": otp});
    app.post("/auth/verify-otp", typed(&otp)).await.is_problem(409, "verification_id_required");
    app.post_from(&fresh_ip(), "/auth/resend-otp", body).await.is_problem(409, "verification_id_required");
    if otp != of_third {
        app.post_from(&elsewhere, "/auth/verify-otp", typed(&otp)).await.is_problem(400, "invalid_code");
    }
    let opened = app.post_from(&home, "/auth/verify-otp", typed(&otp)).await.is(200);
    assert_eq!(opened["user"]["id"], second["user_id"]);
    let ended = json!({"verification_id": verification_id(&third), "otp": of_third});
    app.post_from(&elsewhere, "/auth/verify-otp", ended).await.is_problem(400, "invalid_code");
}

async fn one_call_signs_in_or_up(backend: Backend) {
    let app = TestApp::with(backend, unlimited()).await;
    let details = json!({"mobile": "98765 43210", "name": "Ann", "locale": "hi", "data": {"nick": "A"}});
    let up = sign_in_or_up(&app, details).await;
    assert_eq!(up["is_new"], true);
    let user = &up["user"];
    assert_eq!((&user["mobile"], &user["name"], &user["locale"]), (&json!("+919876543210"), &json!("Ann"), &json!("hi")));
    assert_eq!((&user["data"], &user["has_password"]), (&json!({"nick": "A"}), &json!(false)));
    app.me(up["access_token"].as_str().unwrap()).await.is(200);
    // For an account the details do nothing.
    let again = sign_in_or_up(&app, json!({"mobile": "9876543210", "name": "Eve", "data": {"nick": "E"}})).await;
    assert_eq!((&again["is_new"], &again["user"]), (&json!(false), user));
    // By email as well, and by the address with the purpose.
    let sent = send(&app, json!({"email": "bob@example.com", "register": true})).await.is(200);
    let otp = app.code(id(&sent), 1).await;
    // It is no pending registration.
    let typed = json!({"email": "bob@example.com", "otp": otp});
    app.post("/auth/verify-otp", typed.clone()).await.is_problem(409, "verification_id_required");
    app.post("/auth/resend-otp", json!({"verification_id": id(&sent)})).await.is_problem(404, "unknown_verification");
    app.basic("/users/activate", "bob@example.com", PASSWORD, json!({"otp": otp})).await.is_problem(401, "invalid_credentials");
    let mut by_address = typed;
    by_address["purpose"] = "login".into();
    let opened = prove(&app, by_address.clone()).await.is(200);
    assert_eq!((&opened["is_new"], &opened["user"]["email_verified"]), (&json!(true), &json!(true)));
    prove(&app, by_address).await.is_problem(401, "invalid_code");
    for (field, value, code) in
        [("register", json!("yes"), "invalid"), ("data", json!([]), "invalid"), ("name", json!(7), "invalid")]
    {
        let mut body = json!({"mobile": "9876543210", "register": true});
        body[field] = value;
        send(&app, body).await.is_invalid(&[(field, code)]);
    }
    let with_login_id = json!({"mobile": "9876543210", "login_id": "ann.1", "register": true});
    send(&app, with_login_id).await.is_invalid(&[("register", "invalid")]);
}

/// Every answer on the way to a proof, and the texts that arrived.
async fn steps(app: &TestApp, mobile: &str) -> Vec<Answer> {
    let ip = fresh_ip();
    let ask = json!({"mobile": mobile, "register": true, "name": "Zoe", "locale": "de", "data": {"a": 1}});
    let mut seen = Vec::new();
    let first = app.post_from(&ip, "/auth/send-otp", ask.clone()).await;
    let sent = first.clone().is(200);
    seen.push(first);
    seen.push(app.post_from(&ip, "/auth/send-otp", ask.clone()).await);
    let otp = app.code(id(&sent), 1).await;
    app.outbox_is_empty().await;
    seen.push(app.get(&format!("/auth/verifications/{}", id(&sent))).await);
    let wrong = other_than(&otp);
    for guess in [
        json!({"verification_id": id(&sent), "otp": wrong}),
        json!({"mobile": mobile, "purpose": "login", "otp": wrong}),
        json!({"mobile": mobile, "otp": wrong}),
        json!({"mobile": mobile, "login_id": "ann.1", "otp": wrong}),
        json!({"mobile": mobile, "verification_id": id(&sent), "otp": wrong}),
        json!({"verification_id": id(&sent), "otp": wrong}),
        json!({"verification_id": id(&sent), "otp": wrong}),
    ] {
        seen.push(app.post_from(&ip, "/auth/verify-otp", guess).await);
    }
    seen.push(app.post_from(&ip, "/auth/resend-otp", json!({"verification_id": id(&sent)})).await);
    seen.push(app.post_from(&ip, "/auth/resend-otp", json!({"mobile": mobile})).await);
    seen.push(app.get(&format!("/auth/verifications/{}", id(&sent))).await);
    for _ in 0..5 {
        app.advance(31);
        seen.push(app.post_from(&fresh_ip(), "/auth/send-otp", ask.clone()).await);
        app.outbox_is_empty().await;
    }
    app.advance(130);
    seen.push(app.get(&format!("/auth/verifications/{}", id(&sent))).await);
    let late = json!({"verification_id": id(&sent), "otp": otp});
    seen.push(app.post_from(&fresh_ip(), "/auth/verify-otp", late).await);
    app.outbox_is_empty().await;
    app.advance(3_600);
    seen
}

/// Equal, but for the two seconds that a machine may take between the two.
fn alike(known: &Value, unknown: &Value) -> bool {
    match (known, unknown) {
        (Value::Object(known), Value::Object(unknown)) => {
            known.len() == unknown.len()
                && known.iter().all(|(name, value)| unknown.get(name).is_some_and(|other| alike(value, other)))
        }
        (Value::Number(known), Value::Number(unknown)) => {
            known.as_i64().zip(unknown.as_i64()).is_some_and(|(known, unknown)| (known - unknown).abs() <= 2)
        }
        (Value::String(known), Value::String(unknown)) if known.contains("try again in") => {
            known.split(" in ").next() == unknown.split(" in ").next()
        }
        (known, unknown) => known == unknown,
    }
}

async fn nothing_tells_a_sign_in_from_a_sign_up_before_the_proof(backend: Backend) {
    let app = TestApp::with(backend, optional()).await;
    let ann = app.register(json!({"mobile": "9876543210", "password": PASSWORD, "locale": "hi"})).await;
    app.verify(&ann, &ann.otp).await.is(200);
    app.advance(90_000);
    let (known, unknown) = (steps(&app, "9876543210").await, steps(&app, "9811122233").await);
    assert_eq!(known.len(), unknown.len());
    for (step, (known, unknown)) in known.iter().zip(&unknown).enumerate() {
        let ((status, headers, known), (other_status, other_headers, unknown)) = (shape(known), shape(unknown));
        assert_eq!((status, headers), (other_status, other_headers), "step {step}");
        assert!(alike(&known, &unknown), "step {step}: {known} {unknown}");
    }
    let texts = |to: &str| {
        let messages = app.application.inbox.as_ref().unwrap().messages(Some(to));
        let asked = messages.into_iter().filter(|message| message.purpose == "login");
        let without_code = |message: enroll::notify::InboxEntry| message.body.replace(&message.otp.unwrap(), "000000");
        asked.map(without_code).collect::<Vec<_>>()
    };
    assert_eq!(texts("+919876543210"), texts("+919811122233"));
    assert_eq!(texts("+919811122233").len(), 5, "one at first and, of five more within the hour, four");
}

async fn what_a_code_does_is_decided_when_it_is_right(backend: Backend) {
    let app = TestApp::with(backend, unlimited()).await;
    let ask = async |address: Value| {
        let mut body = address;
        body["register"] = true.into();
        let sent = send(&app, body).await.is(200);
        json!({"verification_id": id(&sent), "otp": app.code(id(&sent), 1).await})
    };
    // Asked for nobody, it opens the account that has proven the address meanwhile.
    let early = ask(json!({"mobile": "9876543210"})).await;
    let ann = account(&app).await;
    let opened = prove(&app, early).await.is(200);
    assert_eq!((&opened["is_new"], &opened["user"]["id"]), (&json!(false), &ann["user"]["id"]));
    // One that makes an account ends what is pending for the address.
    let pending = app.register(json!({"mobile": "9876543211", "password": PASSWORD})).await;
    let up = ask(json!({"mobile": "9876543211"})).await;
    assert_eq!(prove(&app, up).await.is(200)["is_new"], true);
    app.verify(&pending, &pending.otp).await.is_problem(400, "invalid_code");
    // One asked for an account is good for that account as it was.
    let of_ann = ask(json!({"mobile": "9876543210"})).await;
    let new = json!({"current_password": PASSWORD, "new_password": "another horse"});
    call(&app, Method::POST, "/users/me/password", &ann, new).await.is(204);
    prove(&app, of_ann).await.is_problem(401, "invalid_code");
    // A disabled account's address makes no other.
    app.command(&["users", "disable", "ann.1"]).await;
    let of_disabled = ask(json!({"mobile": "9876543210"})).await;
    let refused = prove(&app, of_disabled.clone()).await.is_problem(409, "account_exists");
    assert_eq!(refused["errors"][0]["field"], "mobile");
    app.command(&["users", "enable", "ann.1"]).await;
    let opened = prove(&app, of_disabled).await.is(200); // its code stayed good
    assert_eq!(opened["user"]["id"], ann["user"]["id"]);
    // An unproven note keeps nobody: Ann holds this one unproven.
    let eve = sign_in_or_up(&app, json!({"email": "ann@example.com"})).await;
    assert_eq!(eve["is_new"], true);
    assert_ne!(eve["user"]["id"], ann["user"]["id"]);
}

async fn two_codes_of_nobody_make_one_account(backend: Backend) {
    let app = TestApp::with(backend, unlimited()).await;
    let mut codes = Vec::new();
    for _ in 0..6 {
        let sent = send(&app, json!({"mobile": "9876543210", "register": true})).await.is(200);
        codes.push(json!({"verification_id": id(&sent), "otp": app.code(id(&sent), 1).await}));
    }
    let proofs = codes.iter().map(|code| prove(&app, code.clone()));
    let opened: Vec<Value> = futures_util::future::join_all(proofs).await.into_iter().map(|answer| answer.is(200)).collect();
    assert_eq!(opened.iter().filter(|opened| opened["is_new"] == true).count(), 1);
    assert!(opened.iter().all(|one| one["user"]["id"] == opened[0]["user"]["id"]));
    let twice = codes.iter().map(|code| prove(&app, code.clone()));
    for again in futures_util::future::join_all(twice).await {
        again.is_problem(401, "invalid_code");
    }
}

async fn a_plain_code_beside_a_sign_up_is_one_too(backend: Backend) {
    let app = TestApp::with(backend, unlimited()).await;
    let newest = |otp: &str| json!({"mobile": "9876543210", "purpose": "login", "otp": otp});
    let own = send(&app, json!({"mobile": "9876543210", "register": true})).await.is(200);
    let own_code = app.code(id(&own), 1).await;
    app.advance(1);
    // A stranger asks for a plain one: it is the newest, and good.
    let strangers = send(&app, json!({"mobile": "9876543210"})).await.is(200);
    let otp = app.code(id(&strangers), 1).await;
    if otp != own_code {
        prove(&app, newest(&own_code)).await.is_problem(401, "invalid_code");
    }
    assert_eq!(prove(&app, newest(&otp)).await.is(200)["is_new"], true);
    // With none under way a plain one to nobody is to nobody.
    app.advance(130);
    let plain = send(&app, json!({"mobile": "9811122233"})).await.is(200);
    app.outbox_is_empty().await;
    assert!(app.messages(id(&plain)).is_empty());
}

async fn details_without_the_id_come_from_the_network_that_verifies(backend: Backend) {
    let app = TestApp::with(backend, unlimited()).await;
    let (home, elsewhere) = (fresh_ip(), fresh_ip());
    for (mobile, from, name) in [("9876543210", &home, json!("Zoe")), ("9876543211", &elsewhere, Value::Null)] {
        let ask = json!({"mobile": mobile, "register": true, "name": "Zoe"});
        let sent = app.post_from(&home, "/auth/send-otp", ask).await.is(200);
        let proof = json!({"mobile": mobile, "purpose": "login", "otp": app.code(id(&sent), 1).await});
        let opened = app.post_from(from, "/auth/verify-otp", proof).await.is(200);
        assert_eq!((&opened["is_new"], &opened["user"]["name"]), (&json!(true), &name));
    }
}

async fn the_first_password_is_set_in_a_fresh_session_or_by_a_reset(backend: Backend) {
    let app = TestApp::with(backend, unlimited()).await;
    let ann = sign_in_or_up(&app, json!({"mobile": "9876543210"})).await;
    let set = async |body: Value| call(&app, Method::POST, "/users/me/password", &ann, body).await;
    app.advance(301);
    set(json!({"new_password": "a first horse"})).await.is_problem(403, "reauthentication_required");
    let guessed = json!({"current_password": "no horse", "new_password": "a first horse"});
    set(guessed).await.is_problem(403, "wrong_password");
    let ann = sign_in_or_up(&app, json!({"mobile": "9876543210"})).await;
    let set = async |body: Value| call(&app, Method::POST, "/users/me/password", &ann, body).await;
    set(json!({"new_password": "9876543210"})).await.is_invalid(&[("new_password", "own_identifier")]);
    set(json!({"new_password": "a first horse"})).await.is(204);
    assert_eq!(app.me(&text(&ann["access_token"])).await.is(200)["has_password"], true);
    login(&app, json!({"mobile": "9876543210", "password": "a first horse"})).await.is(200);

    sign_in_or_up(&app, json!({"mobile": "9876543211"})).await;
    let forgot = app.post("/auth/forgot-password", json!({"mobile": "9876543211"})).await.is(202);
    let mut reset = json!({"mobile": "9876543211", "new_password": "a first horse"});
    reset["otp"] = app.code(id(&forgot), 1).await.into();
    app.post("/auth/reset-password", reset).await.is(204);
    login(&app, json!({"mobile": "9876543211", "password": "a first horse"})).await.is(200);
}

async fn who_may_not_register_is_not_signed_up(backend: Backend) {
    let closed = unlimited().with("ENROLL__REGISTRATIONS__OPEN", false);
    let app = TestApp::with(backend, closed.with("ENROLL__REGISTRATIONS__EMAIL_DOMAINS_DENIED", "example.org")).await;
    app.import("email,mobile\neve@example.org,9876543210\n").await;
    let sent = send(&app, json!({"mobile": "9811122233", "register": true})).await.is(200);
    app.outbox_is_empty().await;
    assert!(app.messages(id(&sent)).is_empty());
    assert_eq!(sign_in_or_up(&app, json!({"mobile": "9876543210"})).await["is_new"], false);
    assert_eq!(sign_in_or_up(&app, json!({"email": "eve@example.org"})).await["is_new"], false);
    // Who is invited may.
    app.command(&["users", "invite", "9811122233"]).await;
    assert_eq!(sign_in_or_up(&app, json!({"mobile": "9811122233"})).await["is_new"], true);
}

async fn the_guard_counts_who_may_sign_up(backend: Backend) {
    let app = TestApp::with(backend, optional()).await;
    app.import("mobile\n9876543290\n").await;
    for n in 0..25 {
        let ask = json!({"mobile": format!("98765432{n:02}"), "register": true});
        let asked = send(&app, ask).await;
        let _ = if n <= 20 { asked.is(200) } else { asked.is_problem(403, "challenge_required") };
    }
    // Known or not, by `register` alone.
    send(&app, json!({"mobile": "9876543290", "register": true})).await.is_problem(403, "challenge_required");
    send(&app, json!({"mobile": "9876543290"})).await.is(200);
    send(&app, json!({"mobile": "9876543291"})).await.is(200);
    // But while a code that may sign up is on its way.
    send(&app, json!({"mobile": "9876543203"})).await.is_problem(403, "challenge_required");
}
