//! What happened, for operators who are asked why a code did not arrive, and for the person concerned.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    Backend, Options, TestApp,
    app::{fresh_ip, other_than},
    fake_provider::{Answers, Gateway},
};

stories!(
    why_tells_the_whole_way_of_a_code,
    why_names_the_provider_and_its_reason,
    why_says_that_nobody_was_written_to,
    refusals_are_one_line_an_hour,
    of_a_deleted_account_no_line_names_anybody,
    who_is_deleted_while_a_message_is_at_its_provider_is_not_named,
    a_client_beyond_its_limit_writes_no_lines,
    people_export_what_is_kept_of_them,
    each_command_of_an_operator_leaves_a_line,
    each_password_that_is_judged_leaves_a_line,
);

async fn why(app: &TestApp, address: &str) -> Value {
    let (out, errors, code) = app.command(&["why", address, "--json"]).await;
    assert_eq!(code, 0, "{errors}");
    serde_json::from_str(&out).unwrap()
}

fn steps(timeline: &Value) -> Vec<String> {
    let lines = timeline["lines"].as_array().unwrap().iter();
    lines.map(|line| format!("{} {}", line["kind"].as_str().unwrap(), line["outcome"].as_str().unwrap())).collect()
}

async fn why_tells_the_whole_way_of_a_code(backend: Backend) {
    let app = TestApp::with(backend, Options::unlimited()).await;
    let nothing = why(&app, "9876543210").await;
    assert_eq!(steps(&nothing), Vec::<String>::new());
    assert!(nothing["advice"].as_str().unwrap().contains("Nothing was asked"), "{nothing}");

    let pending = app.register(json!({"mobile": "9876543210", "password": "correct horse"})).await;
    assert_eq!(app.delivery_outcome(&pending.verification_id).await, "sent");
    let sent = why(&app, "+91 98765 43210").await;
    assert_eq!(steps(&sent), ["code_issued registration", "handed_over registration"]);
    assert!(sent["advice"].as_str().unwrap().contains("printed it to its standard output at"), "{sent}");
    assert_eq!(sent["lines"][1]["provider"], "console");
    assert!(sent["lines"][0]["client"].is_string() && sent["lines"][1]["took_ms"].is_number(), "{sent}");

    app.verify(&pending, &other_than(&pending.otp)).await.is(400);
    app.verify(&pending, &pending.otp).await.is(200);
    let verified = why(&app, "9876543210").await;
    let expected = [
        "code_issued registration",
        "handed_over registration",
        "wrong_code registration",
        "account_created done",
        "verified sms",
        "logged_in code",
    ];
    assert_eq!(steps(&verified), expected);
    assert!(verified["advice"].as_str().unwrap().starts_with("All is well"), "{verified}");
    let ids = verified["lines"].as_array().unwrap()[..3].iter().map(|line| line["verification_id"].clone());
    assert!(ids.into_iter().all(|id| id == pending.verification_id.as_str()), "one id joins them: {verified}");
    let everything = verified.to_string();
    assert!(!everything.contains(&pending.otp) && !everything.contains("9876543210"), "{everything}");

    app.post("/auth/register", json!({"mobile": "9876543210", "password": "correct horse"})).await.is_problem(409, "account_exists");
    while !steps(&why(&app, "9876543210").await).contains(&"refused account_exists".to_owned()) {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let (text, ..) = app.command(&["why", "9876543210"]).await;
    assert!(text.contains("wrong_code") && text.lines().last().unwrap().contains("log in, or reset"), "{text}");
    let (audit, ..) = app.command(&["audit", "--user", "9876543210"]).await;
    assert!(audit.contains("kind=logged_in outcome=code"), "{audit}");
}

fn by_webhook(gateway: &Gateway) -> Options {
    Options::unlimited()
        .with("ENROLL__NOTIFY__INBOX", "false")
        .with("ENROLL__NOTIFY__SMS", "webhook")
        .with("ENROLL__NOTIFY__WEBHOOK__URL", format!("{}/hook", gateway.url))
        .with("ENROLL__NOTIFY__WEBHOOK__SECRET", "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
}

async fn ends(app: &TestApp, mobile: &str) -> String {
    let body = json!({"mobile": mobile, "password": "correct horse"});
    let registered = app.post_from(&fresh_ip(), "/auth/register", body).await.is(202);
    app.delivery_outcome(registered["verification"]["verification_id"].as_str().unwrap()).await
}

async fn why_names_the_provider_and_its_reason(backend: Backend) {
    let gateway = Gateway::start(Answers::With(422, "")).await;
    let app = TestApp::with(backend, by_webhook(&gateway)).await;
    assert_eq!(ends(&app, "9876543210").await, "failed");
    let refused = why(&app, "9876543210").await;
    assert_eq!(steps(&refused), ["code_issued registration", "not_delivered failed"]);
    assert_eq!(refused["lines"][1]["provider"], "webhook");
    assert!(refused["advice"].as_str().unwrap().contains("the gateway answered 422"), "{refused}");

    let (dead, ..) = app.command(&["deliveries", "dead"]).await;
    for part in ["provider=webhook", "last_error=\"the gateway answered 422\"", "to=+91******3210"] {
        assert!(dead.contains(part), "{part}: {dead}");
    }
    let (stats, ..) = app.command(&["deliveries", "stats", "--json"]).await;
    let stats: Value = serde_json::from_str(stats.lines().next().unwrap()).unwrap();
    assert_eq!((&stats["provider"], &stats["sent"], &stats["failed"]), (&json!("webhook"), &json!(0), &json!(1)));

    gateway.answer(Answers::With(503, ""));
    let body = json!({"mobile": "9876543211", "password": "correct horse"});
    app.post_from(&fresh_ip(), "/auth/register", body).await.is(202);
    let waiting = loop {
        let timeline = why(&app, "9876543211").await;
        if timeline["waiting"][0]["last_error"].is_string() {
            break timeline;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    assert_eq!(waiting["waiting"][0]["provider"], "webhook");
    assert!(waiting["advice"].as_str().unwrap().contains("webhook did not take the message"), "{waiting}");
}

async fn why_says_that_nobody_was_written_to(backend: Backend) {
    let app = TestApp::with(backend, Options::unlimited()).await;
    let sent = app.post("/auth/send-otp", json!({"mobile": "9876543210"})).await.is(200);
    app.outbox_is_empty().await;
    let timeline = why(&app, "9876543210").await;
    assert_eq!(steps(&timeline), ["code_issued login", "not_delivered nobody"]);
    assert_eq!(timeline["lines"][0]["verification_id"], sent["verification"]["verification_id"]);
    assert!(timeline["advice"].as_str().unwrap().contains("No account has proven"), "{timeline}");
}

async fn refusals_are_one_line_an_hour(backend: Backend) {
    let app = TestApp::start(backend).await;
    let send = async || app.post_from(&fresh_ip(), "/auth/send-otp", json!({"mobile": "9876543210"})).await;
    send().await.is(200);
    app.outbox_is_empty().await;
    for _ in 0..3 {
        send().await.is_problem(429, "too_many_requests");
    }
    let timeline = loop {
        let timeline = why(&app, "9876543210").await;
        if timeline["lines"].as_array().unwrap().iter().any(|line| line["times"] == 3) {
            break timeline;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    assert_eq!(steps(&timeline).iter().filter(|step| *step == "refused resend").count(), 1, "{timeline}");
    assert!(timeline["advice"].as_str().unwrap().contains("The limit resend"), "{timeline}");
    let (_, errors, code) = app.command(&["limits", "lift", "9876543210"]).await;
    assert_eq!(code, 0, "{errors}");
    assert!(steps(&why(&app, "9876543210").await).contains(&"command limits_lift".to_owned()));
}

async fn of_a_deleted_account_no_line_names_anybody(backend: Backend) {
    let app = TestApp::with(backend, Options::unlimited()).await;
    let pending = app.register(json!({"mobile": "9876543210", "password": "correct horse"})).await;
    let opened = app.verify(&pending, &pending.otp).await.is(200);
    let token = opened["access_token"].as_str().unwrap();
    app.send(app.request(Method::DELETE, "/users/me").bearer_auth(token)).await.is(204);
    assert_eq!(steps(&why(&app, "9876543210").await), Vec::<String>::new());
    let (audit, ..) = app.command(&["audit"]).await;
    assert!(audit.contains("kind=account_deleted"), "what happened stays: {audit}");
    for name in ["3210", opened["user"]["id"].as_str().unwrap(), "127.0.0.1"] {
        assert!(!audit.contains(name), "{name}: {audit}");
    }
}

async fn who_is_deleted_while_a_message_is_at_its_provider_is_not_named(backend: Backend) {
    let gateway = Gateway::start(Answers::With(200, "")).await;
    let app = TestApp::with(backend, by_webhook(&gateway)).await;
    let (out, errors, _) = app.command(&["users", "create", "--mobile", "9876543210", "--json"]).await;
    let user: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out} {errors}"));
    gateway.answer(Answers::Later);
    app.post("/auth/send-otp", json!({"mobile": "9876543210"})).await.is(200);
    gateway.wait_for(1).await;
    let (_, errors, code) = app.command(&["users", "delete", "9876543210"]).await;
    assert_eq!(code, 0, "{errors}");
    gateway.answer(Answers::With(200, ""));
    // Whether or not a line is written late, it names nobody.
    for _ in 0..20 {
        let (audit, ..) = app.command(&["audit"]).await;
        for name in ["3210", user["id"].as_str().unwrap()] {
            assert!(!audit.contains(name), "{name}: {audit}");
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

async fn a_client_beyond_its_limit_writes_no_lines(backend: Backend) {
    let app = TestApp::start(backend).await;
    let ip = fresh_ip();
    let mut refused = 0;
    for n in 0..40 {
        let answer = app.post_from(&ip, "/auth/send-otp", json!({"mobile": format!("98765432{n:02}")})).await;
        refused += u32::from(answer.status == 429);
    }
    assert_eq!(refused, 35);
    app.outbox_is_empty().await;
    let (audit, ..) = app.command(&["audit", "--json"]).await;
    let lines = audit.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    assert_eq!(lines.filter(|line| line["kind"] == "refused").count(), 0, "{audit}");
}

async fn people_export_what_is_kept_of_them(backend: Backend) {
    let app = TestApp::with(backend, Options::unlimited()).await;
    let pending = app.register(json!({"mobile": "9876543210", "password": "correct horse", "name": "Ann"})).await;
    app.verify(&pending, &other_than(&pending.otp)).await.is(400);
    let opened = app.verify(&pending, &pending.otp).await.is(200);
    let other = app.register(json!({"mobile": "9876543211", "password": "correct horse"})).await;
    app.verify(&other, &other.otp).await.is(200);
    app.get("/users/me/export").await.is_problem(401, "missing_token");
    let request = app.request(Method::GET, "/users/me/export").bearer_auth(opened["access_token"].as_str().unwrap());
    let answer = app.send(request).await;
    assert!(answer.header("content-disposition").unwrap().starts_with("attachment"), "{answer:?}");
    let export = answer.is(200);
    assert_eq!(export["user"], opened["user"]);
    assert_eq!(export["sessions"].as_array().unwrap().len(), 1);
    assert_eq!(export["messages"][0]["purpose"], "registration");
    let lines = steps(&json!({"lines": export["audit"]}));
    for step in ["code_issued registration", "wrong_code registration", "logged_in code"] {
        assert!(lines.contains(&step.to_owned()), "{step}: {export}");
    }
    for line in export["audit"].as_array().unwrap() {
        let is_own = line["kind"] == "logged_in";
        assert_eq!(line["client"].is_string(), is_own || line["kind"] == "account_created" || line["kind"] == "verified", "{line}");
    }
    let text = export.to_string();
    for secret in ["argon2", "3211", pending.otp.as_str()] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
}

async fn each_command_of_an_operator_leaves_a_line(backend: Backend) {
    let app = TestApp::with(backend, Options::unlimited()).await;
    for command in [
        &["users", "create", "--mobile", "9876543210"][..],
        &["users", "disable", "9876543210"],
        &["users", "disable", "9876543210"],
        &["users", "enable", "9876543210"],
        &["sessions", "revoke", "--all", "9876543210"],
        &["limits", "lift", "9876543210"],
        &["deliveries", "retry"],
        &["events", "retry"],
    ] {
        let (_, errors, code) = app.command(command).await;
        assert_eq!(code, 0, "{command:?}: {errors}");
    }
    let commands = async |options: &[&str]| {
        let (out, errors, code) = app.command(&[&["audit", "--json"], options].concat()).await;
        assert_eq!(code, 0, "{errors}");
        let lines = out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let of_commands = lines.filter(|line| line["kind"] == "command");
        of_commands.map(|line| line["outcome"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let of_account = ["users_create", "users_disable", "users_enable", "sessions_revoke", "limits_lift"];
    assert_eq!(commands(&["--user", "9876543210"]).await, of_account);

    let (_, errors, code) = app.command(&["users", "delete", "9876543210"]).await;
    assert_eq!(code, 0, "{errors}");
    let all = commands(&[]).await;
    assert_eq!(all, [&of_account[..], &["deliveries_retry", "events_retry", "users_delete"]].concat());
    let (out, ..) = app.command(&["audit", "--json"]).await;
    assert!(!out.contains("+91"), "of a deleted account nothing is named: {out}");
}

async fn each_password_that_is_judged_leaves_a_line(backend: Backend) {
    let app = TestApp::with(backend, Options::unlimited()).await;
    let pending = app.register(json!({"mobile": "9876543210", "password": "correct horse"})).await;
    let opened = app.verify(&pending, &pending.otp).await.is(200);
    let basic = async |password: &str| {
        let request = app.request(Method::POST, "/users/activate").basic_auth("9876543210", Some(password));
        app.send(request.json(&json!({"otp": "1234"}))).await
    };
    basic("correct horse").await.is_problem(400, "invalid_code");
    basic("a wrong horse").await.is_problem(401, "invalid_credentials");
    for (current, status) in [("a wrong horse", 403), ("correct horse", 204)] {
        let request = app.request(Method::POST, "/users/me/password");
        let body = json!({"current_password": current, "new_password": "a better horse"});
        app.send(request.bearer_auth(opened["access_token"].as_str().unwrap()).json(&body)).await.is(status);
    }
    let judged = loop {
        let (out, ..) = app.command(&["audit", "--user", "9876543210", "--json"]).await;
        let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let steps = steps(&json!({ "lines": lines }));
        if steps.contains(&"login_failed password".to_owned()) {
            break steps;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    let count = |step: &str| judged.iter().filter(|judged| *judged == step).count();
    assert_eq!((count("password_judged right"), count("password_judged wrong")), (2, 1), "{judged:?}");
    assert_eq!(count("logged_in password"), 0, "a right Basic password is no login");
}
