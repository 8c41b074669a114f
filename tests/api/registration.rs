//! Registering: a code by SMS or email, verifying, resending.

use serde_json::json;

use crate::support::{
    Backend, Options, TestApp,
    app::{fresh_ip, other_than},
};

stories!(
    a_mobile_registers_verifies_and_is_somebody,
    an_email_registers_with_its_short_code_and_the_id,
    both_addresses_prove_only_the_mobile,
    a_code_works_once,
    two_verifies_at_once_make_one_account,
    a_double_click_is_one_registration,
    the_same_password_later_takes_over_the_details,
    a_resend_kills_the_old_code,
    a_code_ends_at_its_expiry,
    older_field_names_and_paths_work,
    closed_registration_takes_who_is_invited,
    domains_are_judged_at_register_and_contacts,
);

async fn a_mobile_registers_verifies_and_is_somebody(backend: Backend) {
    let app = TestApp::start(backend).await;
    let body = json!({"mobile": "9876543210", "password": "correct horse", "name": "Ann", "locale": "en-in"});

    let answer = app.post("/auth/register", body.clone()).await.is(202);
    assert_eq!(answer["status"], "pending");
    let verification = &answer["verification"];
    assert_eq!(verification["channel"], "sms");
    assert_eq!(verification["purpose"], "registration");
    assert_eq!(verification["destination"], "+91******3210");
    assert_eq!((&verification["expires_in"], &verification["resend_in"]), (&json!(300), &json!(30)));
    assert_eq!(verification["code_length"], 6);
    let ann = app.pending(body, &answer).await;
    assert_eq!(ann.otp.len(), 6);

    let opened = app.post("/auth/verify-otp", json!({"mobile": "+91 98765-43210", "otp": ann.otp})).await;
    assert_eq!(opened.header("cache-control"), Some("no-store"));
    let opened = opened.is(200);
    assert_eq!(opened["token_type"], "Bearer");
    assert_eq!(opened["expires_in"], 1800);
    assert_eq!(opened["user"]["id"], ann.user_id);

    let me = app.me(opened["access_token"].as_str().unwrap()).await.is(200);
    assert_eq!(me, opened["user"]);
    assert_eq!(me["mobile"], "+919876543210");
    assert_eq!((&me["mobile_verified"], &me["email_verified"]), (&json!(true), &json!(false)));
    assert_eq!((&me["name"], &me["locale"], &me["is_active"]), (&json!("Ann"), &json!("en-IN"), &json!(true)));
}

async fn an_email_registers_with_its_short_code_and_the_id(backend: Backend) {
    let app = TestApp::start(backend).await;
    let ann = app.register(json!({"email": "Ann@Example.com", "password": "correct horse"})).await;
    assert_eq!(ann.otp.len(), 4);

    let by_address = json!({"email": "ann@example.com", "otp": ann.otp});
    app.post("/auth/verify-otp", by_address).await.is_problem(409, "verification_id_required");
    app.post("/auth/resend-otp", json!({"email": "ann@example.com"})).await.is_problem(409, "verification_id_required");
    app.post("/auth/resend-otp", json!({"email": "nobody@example.com"}))
        .await
        .is_problem(409, "verification_id_required");

    let body = json!({"email": "ann@example.com", "verification_id": ann.verification_id, "otp": ann.otp});
    let opened = app.post("/auth/verify-otp", body).await.is(200);
    assert_eq!(opened["user"]["email"], "Ann@example.com");
    assert_eq!(opened["user"]["email_verified"], true);
}

async fn both_addresses_prove_only_the_mobile(backend: Backend) {
    let app = TestApp::start(backend).await;
    let body =
        json!({"email": "ann@example.com", "mobile": "9876543210", "password": "correct horse", "login_id": "Ann.1"});
    let ann = app.register(body).await;
    let wrong_address = json!({"mobile": "9876543211", "verification_id": ann.verification_id, "otp": ann.otp});
    app.post("/auth/verify-otp", wrong_address).await.is_problem(400, "invalid_code");

    let body = json!({"email": "ANN@example.com", "verification_id": ann.verification_id, "otp": ann.otp});
    let user = app.post("/auth/verify-otp", body).await.is(200)["user"].clone();
    assert_eq!((&user["mobile_verified"], &user["email_verified"]), (&json!(true), &json!(false)));

    let taken = json!({"mobile": "9876543212", "login_id": "ANN.1", "password": "correct horse"});
    let problem = app.post_from(&fresh_ip(), "/auth/register", taken).await.is_problem(409, "account_exists");
    assert_eq!(problem["errors"][0]["field"], "login_id");
    let taken = json!({"mobile": "9876543210", "password": "another horse"});
    app.post_from(&fresh_ip(), "/auth/register", taken).await.is_problem(409, "account_exists");
    // An address that is held unproven keeps nobody from it.
    app.register(json!({"email": "ann@example.com", "password": "another horse"})).await;
}

async fn a_code_works_once(backend: Backend) {
    let app = TestApp::start(backend).await;
    let ann = app.register(json!({"mobile": "9876543210", "password": "correct horse"})).await;

    app.verify(&ann, &other_than(&ann.otp)).await.is_problem(400, "invalid_code");
    app.verify(&ann, &ann.otp).await.is(200);
    app.verify(&ann, &ann.otp).await.is_problem(400, "invalid_code");
}

async fn two_verifies_at_once_make_one_account(backend: Backend) {
    let app = TestApp::start(backend).await;
    let ann = app.register(json!({"mobile": "9876543210", "password": "correct horse"})).await;
    let answers = futures_util::future::join_all((0..8).map(|_| app.verify(&ann, &ann.otp))).await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 400, 400, 400, 400, 400, 400, 400]);
}

async fn a_double_click_is_one_registration(backend: Backend) {
    let app = TestApp::start(backend).await;
    let body = json!({"mobile": "9876543210", "password": "correct horse"});
    let (one, two) = tokio::join!(app.post("/auth/register", body.clone()), app.post("/auth/register", body.clone()));
    let (one, two) = (one.is(202), two.is(202));
    assert_eq!(one["user_id"], two["user_id"]);
    assert_eq!(one["verification"]["verification_id"], two["verification"]["verification_id"]);

    app.outbox_is_empty().await;
    app.advance(10);
    let third = app.post("/auth/register", body).await.is(202);
    assert_eq!((&third["verification"]["resend_in"], &third["user_id"]), (&json!(20), &one["user_id"]));
    app.outbox_is_empty().await;
    assert_eq!(app.messages(one["verification"]["verification_id"].as_str().unwrap()).len(), 1);
}

async fn the_same_password_later_takes_over_the_details(backend: Backend) {
    let app = TestApp::start(backend).await;
    let ann = app.register(json!({"mobile": "9876543210", "password": "correct horse", "name": "An"})).await;
    app.advance(30);
    let body = json!({"mobile": "9876543210", "password": "correct horse", "name": "Ann", "email": "ann@example.com"});
    let again = app.post_from(&fresh_ip(), "/auth/register", body).await.is(202);
    assert_eq!(again["user_id"], ann.user_id);
    assert_eq!(again["verification"]["verification_id"], ann.verification_id);

    let otp = app.code(&ann.verification_id, 2).await;
    if otp != ann.otp {
        app.verify(&ann, &ann.otp).await.is_problem(400, "invalid_code");
    }
    let opened = app.verify(&ann, &otp).await.is(200);
    assert_eq!((&opened["user"]["name"], &opened["user"]["email"]), (&json!("Ann"), &json!("ann@example.com")));
}

async fn a_resend_kills_the_old_code(backend: Backend) {
    let app = TestApp::start(backend).await;
    let ann = app.register(json!({"mobile": "9876543210", "password": "correct horse"})).await;
    let too_soon = app.post("/auth/resend-otp", json!({"verification_id": ann.verification_id})).await;
    assert_eq!(too_soon.header("retry-after"), Some("30"));
    assert_eq!(too_soon.header("ratelimit"), Some(r#""resend";r=0;t=30"#));
    assert_eq!(too_soon.header("ratelimit-policy"), Some(r#""resend";q=1;w=30"#));
    too_soon.is_problem(429, "too_many_requests");

    app.advance(30);
    let resent = app.post("/auth/resend-otp", json!({"mobile": "9876543210"})).await.is(200);
    assert!(resent["verification"].get("verification_id").is_none(), "only who shows the id is told it: {resent}");
    let unknown = app.post("/auth/resend-otp", json!({"mobile": "9876543211"})).await.is(200);
    let shape =
        |answer: &serde_json::Value| answer["verification"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(shape(&unknown), shape(&resent));

    let otp = app.code(&ann.verification_id, 2).await;
    if otp != ann.otp {
        app.verify(&ann, &ann.otp).await.is_problem(400, "invalid_code");
    }
    app.verify(&ann, &otp).await.is(200);
    app.advance(30);
    let gone = json!({"verification_id": ann.verification_id});
    app.post("/auth/resend-otp", gone).await.is_problem(404, "unknown_verification");
}

async fn a_code_ends_at_its_expiry(backend: Backend) {
    let app = TestApp::with(backend, Options::unlimited()).await;
    let ann = app.register(json!({"mobile": "9876543210", "password": "correct horse"})).await;
    let bob = app.register(json!({"mobile": "9876543211", "password": "correct horse"})).await;
    app.advance(298);
    app.verify(&ann, &ann.otp).await.is(200);
    app.advance(2);
    app.verify(&bob, &bob.otp).await.is_problem(400, "invalid_code");

    // The registration is still there: a new code proves it.
    app.post("/auth/resend-otp", json!({"verification_id": bob.verification_id})).await.is(200);
    let otp = app.code(&bob.verification_id, 2).await;
    app.verify(&bob, &otp).await.is(200);
}

async fn older_field_names_and_paths_work(backend: Backend) {
    let app = TestApp::start(backend).await;
    let body = json!({"mobileNumber": "9876543210", "loginId": "ann.b", "password": "correct horse", "unknown": [1]});
    let answer = app.post("/users", body.clone()).await.is(202);
    let ann = app.pending(body, &answer).await;
    let opened = app.post("/auth/verify", json!({"mobileNumber": "9876543210", "code": ann.otp})).await.is(200);
    assert_eq!(opened["user"]["login_id"], "ann.b");
}

async fn closed_registration_takes_who_is_invited(backend: Backend) {
    let app = TestApp::start(backend).await;
    let pending = app.register(json!({"email": "early@example.com", "password": "correct horse"})).await;
    let app = app.restart_with("ENROLL__REGISTRATIONS__OPEN", false).await;
    if backend != Backend::Embedded {
        app.verify(&pending, &pending.otp).await.is(200); // what is pending may still be proven
    }
    let body = json!({"mobile": "9876543210", "password": "correct horse"});
    app.post_from(&fresh_ip(), "/auth/register", body.clone()).await.is_problem(403, "registration_closed");
    let (printed, errors, code) = app.command(&["users", "invite", "+91 98765 43210"]).await;
    assert!(code == 0 && printed.contains("+91******3210"), "{printed} {errors}");
    app.outbox_is_empty().await;
    let told = app.application.inbox.as_ref().unwrap().messages(Some("+919876543210"));
    assert!(told.iter().any(|message| message.body.contains("invited")), "{}", told.len());
    let ann = app.register(body).await;
    app.verify(&ann, &ann.otp).await.is(200);
    let other = json!({"mobile": "9876543211", "password": "correct horse"});
    app.post_from(&fresh_ip(), "/auth/register", other.clone()).await.is_problem(403, "registration_closed");
    // An invitation is for the address that is proven, not for one beside it.
    let app = app.restart_with("ENROLL__REGISTRATIONS__EMAIL_DOMAINS", "example.com").await;
    app.command(&["users", "invite", "guest@example.net"]).await;
    let beside = json!({"mobile": "9876543211", "email": "guest@example.net", "password": "correct horse"});
    app.post_from(&fresh_ip(), "/auth/register", beside).await.is_problem(403, "registration_closed");
    app.command(&["users", "invite", "9876543211"]).await;
    app.advance(30 * 86_400 + 1);
    app.post_from(&fresh_ip(), "/auth/register", other).await.is_problem(403, "registration_closed");
}

async fn domains_are_judged_at_register_and_contacts(backend: Backend) {
    let options = Options::default()
        .with("ENROLL__REGISTRATIONS__EMAIL_DOMAINS", "example.com, example.org")
        .with("ENROLL__REGISTRATIONS__EMAIL_DOMAINS_DENIED", "example.org");
    let app = TestApp::with(backend, options).await;
    let register = async |email: &str| {
        app.post_from(&fresh_ip(), "/auth/register", json!({"email": email, "password": "correct horse"})).await
    };
    for email in ["ann@example.net", "ann@sub.example.com", "ann@example.org"] {
        register(email).await.is_invalid(&[("email", "unsupported_domain")]);
    }
    register("ann@EXAMPLE.com").await.is(202);
    app.command(&["users", "invite", "guest@example.net"]).await;
    register("guest@example.net").await.is(202);
    let bob = app.register(json!({"mobile": "9876543210", "password": "correct horse"})).await;
    let tokens = app.verify(&bob, &bob.otp).await.is(200);
    let request = app.request(reqwest::Method::POST, "/users/me/contacts");
    let request = request.bearer_auth(tokens["access_token"].as_str().unwrap());
    let body = json!({"email": "bob@example.net", "current_password": "correct horse"});
    app.send(request.json(&body)).await.is_invalid(&[("email", "unsupported_domain")]);
}
