//! Several registrations for one destination, and what each may do.

use serde_json::json;

use crate::support::{
    Backend, Options, TestApp,
    app::{fresh_ip, other_than},
};

stories!(
    several_may_be_pending_and_each_needs_its_id,
    basic_acts_on_the_callers_own_registration_among_several,
    another_password_too_soon_counts_as_a_wrong_one,
    the_right_password_is_never_counted_as_wrong,
    basic_works_for_an_address_held_unproven,
    fifty_registrations_of_one_email_make_one_account,
    fifty_mobiles_beside_one_email_make_fifty_accounts,
    a_conflict_at_the_end_leaves_the_code_good,
    basic_activates_and_resends,
    basic_counts_wrong_passwords,
    a_status_follows_the_code,
    a_registration_ends_an_hour_after_its_last_code,
);

async fn several_may_be_pending_and_each_needs_its_id(backend: Backend) {
    let app = TestApp::start(backend).await;
    let stranger = app.register(json!({"mobile": "9876543210", "password": "stranger's one"})).await;
    app.advance(30);
    let owner = app.register(json!({"mobile": "9876543210", "password": "owner's own"})).await;
    assert_ne!(owner.verification_id, stranger.verification_id);

    let by_address = json!({"mobile": "9876543210", "otp": owner.otp});
    app.post("/auth/verify-otp", by_address).await.is_problem(409, "verification_id_required");
    app.post("/auth/resend-otp", json!({"mobile": "9876543210"})).await.is_problem(409, "verification_id_required");
    if owner.otp != stranger.otp {
        app.verify(&stranger, &owner.otp).await.is_problem(400, "invalid_code");
    }
    app.verify(&owner, &owner.otp).await.is(200);
    app.verify(&stranger, &stranger.otp).await.is_problem(400, "invalid_code");
}

async fn basic_acts_on_the_callers_own_registration_among_several(backend: Backend) {
    let app = TestApp::start(backend).await;
    let body = |password: &str| json!({"mobile": "9876543210", "password": password});
    app.post_from("192.0.2.1", "/auth/register", body("stranger's one")).await.is(202);
    app.advance(30);
    let answer = app.post_from("192.0.2.2", "/auth/register", body("owner's own")).await.is(202);
    let owner = app.pending(body("owner's own"), &answer).await;

    let guess = json!({"mobile": "9876543210", "otp": owner.otp});
    app.post_from("192.0.2.3", "/auth/verify-otp", guess.clone()).await.is_problem(409, "verification_id_required");
    let opened = app.post_from("192.0.2.2", "/auth/verify-otp", guess).await.is(200);
    assert_eq!(opened["user"]["id"], owner.user_id);
}

async fn another_password_too_soon_counts_as_a_wrong_one(backend: Backend) {
    let app = TestApp::start(backend).await;
    let ann = app.register(json!({"mobile": "9876543210", "password": "correct horse"})).await;
    let register = async |password: &str| {
        app.post_from(&fresh_ip(), "/auth/register", json!({"mobile": "9876543210", "password": password})).await
    };
    for n in 0..10 {
        register(&format!("wrong horse {n}")).await.is_problem(429, "too_many_requests");
    }
    // Ten wrong ones are spent: the right one is kept out too, until a new code may be asked for.
    register("correct horse").await.is_problem(429, "too_many_attempts");
    app.advance(30);
    let again = register("correct horse").await.is(202);
    assert_eq!(again["verification"]["verification_id"], ann.verification_id);
}

async fn the_right_password_is_never_counted_as_wrong(backend: Backend) {
    let app = TestApp::start(backend).await;
    let register = async |password: &str| {
        app.post_from(&fresh_ip(), "/auth/register", json!({"mobile": "9876543210", "password": password})).await
    };
    register("correct horse").await.is(202);
    for _ in 0..4 {
        app.advance(35);
        register("stranger's one").await.is(202);
    }
    // The hour's codes are spent, then a stranger's is fresh: too soon, and no wrong password.
    for seconds in [0, 35] {
        app.advance(seconds);
        for _ in 0..11 {
            register("correct horse").await.is_problem(429, "too_many_requests");
        }
    }
    app.basic("/users/resend-code", "9876543210", "correct horse", json!({}))
        .await
        .is_problem(429, "too_many_requests");
}

async fn basic_works_for_an_address_held_unproven(backend: Backend) {
    let app = TestApp::start(backend).await;
    let body = json!({"mobile": "9876543210", "email": "ann@example.com", "password": "correct horse"});
    let ann = app.register(body).await;
    let activate = async |password: &str, otp: &str| {
        app.basic("/users/activate", "ann@example.com", password, json!({"otp": otp})).await
    };
    activate("wrong horse", &ann.otp).await.is_problem(401, "invalid_credentials");
    activate("correct horse", &ann.otp).await.is(200);
    activate("correct horse", "123456").await.is_problem(400, "invalid_code");
    activate("wrong horse", "123456").await.is_problem(401, "invalid_credentials");
}

/// Fifty at once wait for one row, on a slow machine longer than a second.
fn unlimited_and_patient() -> Options {
    Options::unlimited().with("ENROLL__DATABASE__TIMEOUT", 5)
}

async fn fifty_registrations_of_one_email_make_one_account(backend: Backend) {
    let app = TestApp::with(backend, unlimited_and_patient().with("ENROLL__CODES__REGISTRATION_EMAIL__TTL", 300)).await;
    let bodies = (0..50).map(|n| json!({"email": "ann@example.com", "password": format!("correct horse {n}")}));
    let registered: Vec<_> = futures_util::future::join_all(bodies.map(|body| app.register(body))).await;
    let verified = futures_util::future::join_all(registered.iter().map(|it| app.verify(it, &it.otp))).await;
    let made = verified.iter().filter(|answer| answer.status == 200).count();
    let lost = verified.iter().filter(|answer| matches!(answer.status, 400 | 409)).count();
    assert_eq!((made, lost), (1, 49), "{verified:#?}");
}

async fn fifty_mobiles_beside_one_email_make_fifty_accounts(backend: Backend) {
    let app = TestApp::with(backend, unlimited_and_patient()).await;
    let bodies = (0..50)
        .map(|n| json!({"email": "ann@example.com", "mobile": format!("98765432{n:02}"), "password": "correct horse"}));
    let registered: Vec<_> = futures_util::future::join_all(bodies.map(|body| app.register(body))).await;
    let verified = futures_util::future::join_all(registered.iter().map(|it| app.verify(it, &it.otp))).await;
    for answer in verified {
        let user = answer.is(200)["user"].clone();
        assert_eq!((&user["mobile_verified"], &user["email_verified"]), (&json!(true), &json!(false)));
    }
}

async fn a_conflict_at_the_end_leaves_the_code_good(backend: Backend) {
    let app = TestApp::start(backend).await;
    let body = |mobile: &str| json!({"mobile": mobile, "login_id": "ann", "password": "correct horse"});
    let (first, second) = (app.register(body("9876543210")).await, app.register(body("9876543211")).await);
    app.verify(&first, &first.otp).await.is(200);
    for _ in 0..2 {
        let conflict = app.verify(&second, &second.otp).await.is_problem(409, "account_exists");
        assert_eq!(conflict["errors"][0]["field"], "login_id");
    }

    app.advance(30);
    let other = json!({"mobile": "9876543211", "login_id": "ann.2", "password": "correct horse"});
    let again = app.post("/auth/register", other).await.is(202);
    assert_eq!(again["verification"]["verification_id"], second.verification_id);
    let otp = app.code(&second.verification_id, 2).await;
    app.verify(&second, &otp).await.is(200);
}

async fn basic_activates_and_resends(backend: Backend) {
    let app = TestApp::start(backend).await;
    let ann = app.register(json!({"email": "ann@example.com", "password": "correct:horse"})).await;
    app.basic("/users/activate", "ann@example.com", "wrong horse", json!({"otp": ann.otp}))
        .await
        .is_problem(401, "invalid_credentials");
    app.basic("/users/activate", "ann@example.com", "correct:horse", json!({"otp": other_than(&ann.otp)}))
        .await
        .is_problem(400, "invalid_code");
    app.basic("/users/resend-code", "nobody@example.com", "correct:horse", json!({}))
        .await
        .is_problem(401, "invalid_credentials");

    app.advance(30);
    let resent = app.basic("/users/resend-code", "Ann@example.com", "correct:horse", json!({})).await.is(200);
    assert_eq!(resent["verification"]["verification_id"], ann.verification_id);
    let otp = app.code(&ann.verification_id, 2).await;
    let user = app.basic("/users/activate", "ann@example.com", "correct:horse", json!({"code": otp})).await.is(200);
    assert_eq!((&user["user"]["id"], &user["user"]["email_verified"]), (&json!(ann.user_id), &json!(true)));

    // Active already: its password is told so, another is not.
    let activate =
        async |password: &str| app.basic("/users/activate", "ann@example.com", password, json!({"otp": "1234"})).await;
    activate("correct:horse").await.is_problem(400, "invalid_code");
    activate("wrong horse").await.is_problem(401, "invalid_credentials");
    app.basic("/users/resend-code", "ann@example.com", "correct:horse", json!({}))
        .await
        .is_problem(401, "invalid_credentials");
}

async fn basic_counts_wrong_passwords(backend: Backend) {
    let app = TestApp::with(backend, Options::default().with("ENROLL__CODES__REGISTRATION_EMAIL__TTL", 600)).await;
    let ann = app.register(json!({"email": "ann@example.com", "password": "correct horse"})).await;
    let activate = async |name: &str, password: &str, otp: &str| {
        let request = app.request(reqwest::Method::POST, "/users/activate").basic_auth(name, Some(password));
        app.send(request.header("x-forwarded-for", fresh_ip()).json(&json!({"otp": otp}))).await
    };
    for name in ["ann@example.com", "nobody@example.com"] {
        for n in 0..10 {
            activate(name, &format!("wrong {n}"), "0000").await.is_problem(401, "invalid_credentials");
        }
        activate(name, "correct horse", &ann.otp).await.is_problem(429, "too_many_attempts");
    }
    app.verify(&ann, &ann.otp).await.is(200); // the id stays open
    // Coming in by the code forgave them.
    activate("ann@example.com", "correct horse", "0000").await.is_problem(400, "invalid_code");
}

async fn a_status_follows_the_code(backend: Backend) {
    let app = TestApp::start(backend).await;
    let ann = app.register(json!({"mobile": "9876543210", "password": "correct horse"})).await;
    app.outbox_is_empty().await;
    let status = async || app.get(&format!("/auth/verifications/{}", ann.verification_id)).await.is(200);
    let sent = status().await;
    assert_eq!((&sent["state"], &sent["attempts_left"], &sent["expires_in"]), (&json!("sent"), &json!(5), &json!(299)));
    assert_eq!((&sent["destination"], &sent["purpose"]), (&json!("+91******3210"), &json!("registration")));

    app.verify(&ann, &other_than(&ann.otp)).await.is_problem(400, "invalid_code");
    assert_eq!(status().await["attempts_left"], 4);
    app.verify(&ann, &ann.otp).await.is(200);
    assert_eq!(status().await["state"], "verified");

    let bob = app.register(json!({"mobile": "9876543211", "password": "correct horse"})).await;
    app.advance(300);
    let over = app.get(&format!("/auth/verifications/{}", bob.verification_id)).await.is(200);
    assert_eq!(
        (&over["state"], &over["attempts_left"], &over["expires_in"]),
        (&json!("expired"), &json!(0), &json!(0))
    );
    app.advance(86_400);
    for id in [bob.verification_id.as_str(), "7f0f3c56-0000-4000-8000-000000000000", "17"] {
        app.get(&format!("/auth/verifications/{id}")).await.is_problem(404, "unknown_verification");
    }
}

async fn a_registration_ends_an_hour_after_its_last_code(backend: Backend) {
    let app = TestApp::start(backend).await;
    let ann = app.register(json!({"mobile": "9876543210", "password": "correct horse"})).await;
    app.advance(3_599);
    app.post("/auth/resend-otp", json!({"verification_id": ann.verification_id})).await.is(200);
    app.advance(3_600);
    let gone = json!({"verification_id": ann.verification_id});
    app.post("/auth/resend-otp", gone).await.is_problem(404, "unknown_verification");
    let anew = app.register(ann.body.clone()).await;
    assert_ne!((anew.user_id, anew.verification_id), (ann.user_id, ann.verification_id));
}
