//! Accounts that come from another system, with the hashes of their passwords.

use serde_json::{Value, json};

use super::code_login::{id, prove, send};
use crate::support::{Backend, Options, TestApp, app::fresh_ip};

stories!(
    a_foreign_hash_logs_in_and_is_replaced,
    a_foreign_hash_confirms_the_current_password,
    lines_of_json_bring_what_an_export_has,
    a_line_that_cannot_be_is_refused_with_its_reason,
    a_password_that_was_chosen_here_outlives_an_update,
    an_unverified_address_stays_a_note,
);

const PASSWORD: &str = "correct horse battéry";

/// Names and hashes.
fn samples() -> Vec<(&'static str, &'static str)> {
    let lines = include_str!("../corpus/password_hashes.txt").lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split_once('\t').unwrap()).collect()
}

/// The hash of the sample with this name.
fn sample(name: &str) -> &'static str {
    samples().into_iter().find(|(own, _)| *own == name).unwrap().1
}

async fn import(app: &TestApp, end: &str, text: &str, more: &[&str]) -> (String, String, i32) {
    let file = tempfile::Builder::new().suffix(end).tempfile().unwrap();
    std::fs::write(file.path(), text).unwrap();
    app.command(&[&["users", "import", &file.path().display().to_string()], more].concat()).await
}

async fn login(app: &TestApp, email: &str, password: &str) -> crate::support::Answer {
    app.post_from(&fresh_ip(), "/auth/login", json!({"email": email, "password": password})).await
}

async fn stored_hash(app: &TestApp, id: &str) -> String {
    app.store().read().await.unwrap().user(id.parse().unwrap()).await.unwrap().unwrap().password_hash.unwrap()
}

async fn shown(app: &TestApp, who: &str) -> Value {
    let (out, errors, code) = app.command(&["users", "show", who, "--json"]).await;
    assert_eq!(code, 0, "{errors}");
    serde_json::from_str(out.trim()).unwrap()
}

async fn a_foreign_hash_logs_in_and_is_replaced(backend: Backend) {
    let app = TestApp::with(backend, Options::unlimited()).await;
    let ids: Vec<String> = (1..=samples().len()).map(|n| format!("00000000-0000-4000-8000-{n:012}")).collect();
    let line = |(n, (_, hash)): (usize, &(&str, &str))| format!("{},p{n}@example.com,\"{hash}\"\n", ids[n]);
    let csv: String = samples().iter().enumerate().map(line).collect();
    let (out, errors, code) = import(&app, ".csv", &format!("id,email,password_hash\n{csv}"), &[]).await;
    assert_eq!(code, 0, "{errors}");
    assert!(samples().len() > 20 && !out.contains('$'), "{out}");
    for (n, (name, hash)) in samples().into_iter().enumerate() {
        let email = format!("p{n}@example.com");
        for wrong in ["correct horse battery", "", hash] {
            assert_ne!(login(&app, &email, wrong).await.status, 200, "{name}");
        }
        assert_eq!(stored_hash(&app, &ids[n]).await, hash, "{name}");
        assert_eq!(login(&app, &email, PASSWORD).await.is(200)["user"]["id"], ids[n], "{name}");
        let replaced = stored_hash(&app, &ids[n]).await;
        assert_eq!(replaced.starts_with("$argon2id$v=19$m=64,t=2,p=1$"), name != "kept", "{name}: {replaced}");
        login(&app, &email, PASSWORD).await.is(200);
        login(&app, &email, "correct horse battery").await.is_problem(401, "invalid_credentials");
    }
}

async fn a_foreign_hash_confirms_the_current_password(backend: Backend) {
    let app = TestApp::with(backend, Options::unlimited()).await;
    let csv = format!("mobile,password_hash\n9876543210,\"{}\"\n", sample("scrypt"));
    import(&app, ".csv", &csv, &[]).await;
    // Basic takes it as well, for an account that is active already.
    let basic = |password: &'static str| app.basic("/users/activate", "9876543210", password, json!({"otp": "123456"}));
    basic("another password").await.is_problem(401, "invalid_credentials");
    basic(PASSWORD).await.is_problem(400, "invalid_code");
    let sent = send(&app, json!({"mobile": "9876543210"})).await.is(200);
    let otp = app.code(id(&sent), 1).await;
    let tokens = prove(&app, json!({"verification_id": id(&sent), "otp": otp})).await.is(200);
    let change = async |current: &str| {
        let token = tokens["access_token"].as_str().unwrap();
        let body = json!({"current_password": current, "new_password": "a better horse"});
        app.send(app.request(reqwest::Method::POST, "/users/me/password").bearer_auth(token).json(&body)).await
    };
    change("another password").await.is_problem(403, "wrong_password");
    change(PASSWORD).await.is(204);
    let new = json!({"mobile": "9876543210", "password": "a better horse"});
    app.post_from(&fresh_ip(), "/auth/login", new).await.is(200);
}

async fn lines_of_json_bring_what_an_export_has(backend: Backend) {
    let app = TestApp::start(backend).await;
    let ann = json!({
        "id": "0191e0c2-5e0a-7b3e-8d1f-4a5b6c7d8e9f", "email": "ann@example.com", "mobile": "+919876543210",
        "mobile_verified": false, "created_at": "2019-05-17 09:30:00.25+02", "password_hash": sample("bcrypt 2y"),
        "data": {"nick_name": "Annie", "lat": 12.971_598_723_456_79}, "claims": {"role": "editor"},
        "name": null, "locale": "hi", "is_active": true, "sessions": [],
    });
    let (_, errors, code) = import(&app, ".jsonl", &format!("\u{feff}\n{ann}\r\n\n"), &[]).await;
    assert_eq!(code, 0, "{errors}");
    let imported = shown(&app, "ann@example.com").await;
    for field in ["id", "email", "mobile", "mobile_verified", "data", "claims", "locale", "name"] {
        assert_eq!(imported[field], ann[field], "{field}");
    }
    assert_eq!(imported["created_at"], "2019-05-17T07:30:00.25Z");
    assert_eq!(imported["email_verified"], true);
    // Its own export is unchanged, here and, but for the password, elsewhere.
    let (export, ..) = app.command(&["users", "export"]).await;
    let (out, errors, code) = import(&app, ".ndjson", &export, &["--json"]).await;
    assert_eq!((code, out.contains(r#""unchanged":1"#)), (0, true), "{out} {errors}");
    let other = TestApp::start(backend).await;
    import(&other, ".data", &export, &["--format", "jsonl"]).await;
    assert_eq!(shown(&other, "ann@example.com").await["data"], ann["data"]);
    let claims = login(&app, "ann@example.com", PASSWORD).await.is(200);
    assert_eq!(claims["user"]["claims"], json!({"role": "editor"}));
}

async fn a_line_that_cannot_be_is_refused_with_its_reason(backend: Backend) {
    let app = TestApp::start(backend).await;
    let costly = sample("bcrypt 2b").replace("$05$", "$15$");
    let lines = [
        r#"{"email":"a@example.com","password_hash":"plain text"}"#.to_owned(),
        json!({"email": "b@example.com", "password_hash": costly}).to_string(),
        r#"{"email":"c@example.com","email_verified":false}"#.to_owned(),
        r#"{"email":"d@example.com","id":"17","created_at":"yesterday"}"#.to_owned(),
        r#"{"email":"e@example.com","claims":[1]}"#.to_owned(),
        r#"{"email":"f@example.com","email":"g@example.com"}"#.to_owned(),
        r#"{"email":"h@example.com","mail":"x"}"#.to_owned(),
        r#"{"email":"i@example.com","is_active":false}"#.to_owned(),
        r#"{"email":"j@example.com","data":{"a":1e999}}"#.to_owned(),
        r#"{"email":"k@example.com"}"#.to_owned(),
        r#"{"email":"K@example.com"}"#.to_owned(),
        r#"{"email":"l@example.com","email_verified":"perhaps"}"#.to_owned(),
    ];
    let (_, errors, code) = import(&app, ".jsonl", &lines.join("\n"), &[]).await;
    assert_eq!(code, 1, "{errors}");
    for told in [
        "line 1: password_hash is no hash of",
        "line 2: password_hash costs too much",
        "line 3: id or login_id is required",
        "line 4: id is not a UUID; created_at is not a time",
        "line 5: claims has the wrong type",
        "line 6: is not a JSON object, each name once",
        "line 7: unknown field \"mail\"",
        "line 8: is_active is false",
        "line 9: data must not contain NUL",
        "line 11: same person as line 10",
        "line 12: email_verified must be true or false",
        "11 lines are invalid; nothing was imported",
    ] {
        assert!(errors.contains(told), "{told} is not in {errors}");
    }
    assert!(!errors.contains("plain text") && !errors.contains(&costly), "{errors}");
    assert_eq!(app.command(&["users", "show", "k@example.com"]).await.2, 1, "nothing was imported");
}

async fn a_password_that_was_chosen_here_outlives_an_update(backend: Backend) {
    let app = TestApp::with(backend, Options::unlimited()).await;
    let csv = |name: &str, hash: &str| format!("email,name,password_hash\nann@example.com,{name},\"{hash}\"\n");
    import(&app, ".csv", &csv("Ann", ""), &[]).await;
    let id = shown(&app, "ann@example.com").await["id"].as_str().unwrap().to_owned();
    let first = csv("Ann", sample("sha256-crypt"));
    let (_, errors, code) = import(&app, ".csv", &first, &[]).await;
    assert_eq!((code, errors.contains("use --update")), (1, true), "{errors}");
    import(&app, ".csv", &first, &["--update"]).await;
    assert_eq!(stored_hash(&app, &id).await, sample("sha256-crypt"));
    // Nobody has logged in by it: the old system may have a newer one.
    import(&app, ".csv", &csv("Ann", sample("bcrypt 2b")), &["--update"]).await;
    assert_eq!(stored_hash(&app, &id).await, sample("bcrypt 2b"));
    login(&app, "ann@example.com", PASSWORD).await.is(200);
    let own = stored_hash(&app, &id).await;
    let (out, ..) = import(&app, ".csv", &csv("Ann", sample("bcrypt 2b")), &["--json"]).await;
    assert!(out.contains(r#""unchanged":1"#), "{out}");
    import(&app, ".csv", &csv("Ann B.", sample("bcrypt 2b")), &["--update"]).await;
    assert_eq!((stored_hash(&app, &id).await, shown(&app, &id).await["name"].clone()), (own, json!("Ann B.")));
}

async fn an_unverified_address_stays_a_note(backend: Backend) {
    let app = TestApp::with(backend, Options::unlimited()).await;
    let csv = "login_id,email,email_verified,password_hash\n";
    let line = |email: &str, verified: bool| format!("{csv}ann.1,{email},{verified},\"{}\"\n", sample("pbkdf2-sha256"));
    import(&app, ".csv", &line("ann@example.com", false), &[]).await;
    assert_eq!(shown(&app, "ann.1").await["email_verified"], false);
    login(&app, "ann@example.com", PASSWORD).await.is(200);
    let bob = app.register(json!({"email": "ann@example.com", "password": "correct horse"})).await;
    app.verify(&bob, &bob.otp).await.is(200);
    login(&app, "ann@example.com", PASSWORD).await.is_problem(401, "invalid_credentials");
    import(&app, ".csv", &line("ann@example.org", true), &["--update"]).await;
    assert_eq!(shown(&app, "ann.1").await["email_verified"], true);
    import(&app, ".csv", &line("ann@example.net", false), &["--update"]).await;
    assert_eq!(shown(&app, "ann.1").await["email_verified"], false, "another address is not proven by the last one's");
}
