//! The operator's commands, beside a server that runs.

use reqwest::Method;
use serde_json::{Value, json};

use super::code_login::{PASSWORD, account, id, prove, send};
use crate::support::{Backend, Options, TestApp, app::fresh_ip};

stories!(
    an_account_is_made_shown_disabled_and_deleted,
    claims_reach_the_token_at_its_next_refresh,
    an_import_checks_every_line_first,
    an_import_takes_columns_in_any_order,
    a_leavers_number_does_not_give_the_joiner_the_account,
    accounts_are_listed_by_filters,
    an_import_again_is_unchanged_or_updates,
    sessions_are_listed_and_revoked,
    an_export_tells_every_account,
    a_disabled_account_answers_like_an_unknown_one,
);

async fn json_of(app: &TestApp, arguments: &[&str]) -> Value {
    let (out, errors, code) = app.command(&[arguments, &["--json"]].concat()).await;
    assert_eq!(code, 0, "{errors}");
    serde_json::from_str(out.trim()).unwrap_or_else(|_| panic!("{out}"))
}

async fn import(app: &TestApp, csv: &str, more: &[&str]) -> (String, String, i32) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), csv).unwrap();
    app.command(&[&["users", "import", &file.path().display().to_string()], more].concat()).await
}

const HEADER: &str = "login_id,mobile,email,name,locale\n";

async fn an_account_is_made_shown_disabled_and_deleted(backend: Backend) {
    let app = TestApp::with(backend, Options::unlimited()).await;
    let arguments = ["users", "create", "--login-id", "OFF-1", "--mobile", "98765 43210", "--name", "Ann"];
    let made = json_of(&app, &arguments).await;
    assert_eq!((&made["mobile"], &made["mobile_verified"]), (&json!("+919876543210"), &json!(true)));
    let (_, errors, code) = app.command(&arguments).await;
    assert_eq!((code, errors.contains("account")), (1, true), "{errors}");
    let (_, errors, code) = app.command(&["users", "create", "--login-id", "OFF-2"]).await;
    assert_eq!((code, errors.contains("mobile")), (1, true), "{errors}");

    let log_in = async || {
        let sent = send(&app, json!({"login_id": "off-1", "mobile": "9876543210"})).await.is(200);
        prove(&app, json!({"verification_id": id(&sent), "otp": app.code(id(&sent), 1).await})).await.is(200)
    };
    let opened = log_in().await;
    let token = opened["access_token"].as_str().unwrap();
    for who in ["OFF-1", "9876543210", made["id"].as_str().unwrap()] {
        let shown = json_of(&app, &["users", "show", who]).await;
        assert_eq!(shown["id"], made["id"]);
        assert_eq!(shown["sessions"].as_array().unwrap().len(), 1);
    }
    let (out, ..) = app.command(&["users", "show", "off-1"]).await;
    assert!(out.contains("mobile: +919876543210") && out.contains("sessions: 1"), "{out}");

    // Out at once: its tokens, its login, its refresh; and it answers like an unknown one.
    json_of(&app, &["users", "disable", "OFF-1"]).await;
    app.me(token).await.is_problem(401, "invalid_token");
    app.post("/auth/refresh", json!({"refresh_token": opened["refresh_token"]})).await.is_problem(401, "invalid_token");
    app.advance(1);
    let sent = send(&app, json!({"login_id": "off-1", "mobile": "9876543210"})).await.is(200);
    app.outbox_is_empty().await;
    assert!(app.messages(id(&sent)).is_empty());
    // Its names stay taken.
    let body = json!({"mobile": "9876543210", "password": PASSWORD});
    app.post_from(&fresh_ip(), "/auth/register", body).await.is_problem(409, "account_exists");
    assert_eq!(json_of(&app, &["users", "show", "OFF-1"]).await["is_active"], false);
    json_of(&app, &["users", "enable", "OFF-1"]).await;
    app.advance(1);
    app.me(token).await.is_problem(401, "invalid_token");
    app.me(log_in().await["access_token"].as_str().unwrap()).await.is(200);

    json_of(&app, &["users", "delete", "OFF-1"]).await;
    let (_, errors, code) = app.command(&["users", "show", "OFF-1"]).await;
    assert_eq!((code, errors.contains("no account")), (1, true), "{errors}");
    app.advance(1);
    assert_eq!(app.rows_that_name(&["9876543210", "off-1"]).await, Vec::<String>::new());
}

async fn claims_reach_the_token_at_its_next_refresh(backend: Backend) {
    let app = TestApp::start(backend).await;
    let ann = account(&app).await;
    let in_token = |tokens: &Value| {
        let claims = tokens["access_token"].as_str().unwrap().split('.').nth(1).unwrap().to_owned();
        let claims = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, claims).unwrap();
        serde_json::from_slice::<Value>(&claims).unwrap()["claims"].clone()
    };
    assert_eq!(in_token(&ann), Value::Null);
    let shown = json_of(&app, &["users", "set", "ann.1", "--claims", r#"{"role":"editor","for_team":[1]}"#]).await;
    assert_eq!(shown["claims"], json!({"role": "editor", "for_team": [1]}));
    let token = ann["access_token"].as_str().unwrap();
    assert_eq!(app.me(token).await.is(200)["claims"], shown["claims"]);
    let newer = app.post("/auth/refresh", json!({"refresh_token": ann["refresh_token"]})).await.is(200);
    assert_eq!((in_token(&newer), &newer["user"]["claims"]), (shown["claims"].clone(), &shown["claims"]));
    // The person can't set them.
    let patch = app.request(Method::PATCH, "/users/me").bearer_auth(token).json(&json!({"claims": {"role": "owner"}}));
    assert_eq!(app.send(patch).await.is(200)["claims"], shown["claims"]);
    let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(1_024));
    for wrong in ["{", "[]", &long] {
        let (_, errors, code) = app.command(&["users", "set", "ann.1", "--claims", wrong]).await;
        assert_eq!((code, errors.contains("--claims")), (2, true), "{errors}");
    }
    assert_eq!(json_of(&app, &["users", "show", "ann.1"]).await["claims"], shown["claims"]);
    assert_eq!(json_of(&app, &["users", "set", "ann.1", "--claims", "{}"]).await["claims"], json!({}));
    let made = ["users", "create", "--mobile", "9876543219", "--claims", r#"{"tenant":"x"}"#];
    assert_eq!(json_of(&app, &made).await["claims"], json!({"tenant": "x"}));
}

async fn an_import_checks_every_line_first(backend: Backend) {
    let app = TestApp::start(backend).await;
    json_of(&app, &["users", "create", "--login-id", "OFF-1", "--mobile", "9876543210"]).await;
    json_of(&app, &["users", "create", "--login-id", "OFF-2", "--mobile", "9876543211"]).await;
    let wrong = format!(
        "{HEADER}OFF-9,9876543219,,Nine,en\n\
         OFF-3,98765,,,\n\
         ,,,Nobody,\n\
         OFF-4,9876543214,not an email,,\n\
         OFF-5,9876543215,,,\n\
         OFF-6,9876543215,,,\n\
         off-1,9876543211,,,\n\
         OFF-1,9876543210,,Other,\n\
         OFF-7,9876543217\n"
    );
    let (_, errors, code) = import(&app, &wrong, &[]).await;
    assert_eq!(code, 1, "{errors}");
    for line in [
        "line 3: mobile",
        "line 4: mobile",
        "line 5: email",
        "line 7: same person as line 6",
        "line 8: its identifiers belong to two accounts",
        "line 9: ",
        "line 10: has 2 cells",
        "7 lines are invalid; nothing was imported",
    ] {
        assert!(errors.contains(line), "{line} is not in {errors}");
    }
    let (_, _, code) = app.command(&["users", "show", "OFF-9"]).await;
    assert_eq!(code, 1, "nothing was imported");
    let (out, _, _) = import(&app, &wrong, &["--json"]).await;
    let first: Value = serde_json::from_str(out.lines().next().unwrap()).unwrap();
    assert_eq!(first["line"], 3);
    for (header, named) in [
        ("name,mobil\n", "login_id,mobile,email,name,locale"),
        ("name,login_id\n", "neither mobile nor email"),
        ("mobile,name,Mobile\n", "twice"),
    ] {
        let (_, errors, code) = import(&app, header, &[]).await;
        assert_eq!((code, errors.contains(named)), (1, true), "{header}: {errors}");
    }
}

async fn an_import_takes_columns_in_any_order(backend: Backend) {
    let app = TestApp::start(backend).await;
    let csv = "\u{feff}Locale, Mobile\nen_US,\u{202a}+91 98765 43210\u{202c}\n,\n , \nhi,9876543211\n";
    let (_, errors, code) = import(&app, csv, &[]).await;
    assert_eq!(code, 0, "{errors}");
    assert_eq!(json_of(&app, &["users", "show", "9876543210"]).await["locale"], "en-US");
    let (_, errors, code) = import(&app, "mobile,email\n919876543212.0,\n98765,x@\n", &[]).await;
    assert_eq!(code, 1);
    for line in ["line 2: mobile", "line 3: mobile", "; email"] {
        assert!(errors.contains(line), "{errors}");
    }
}

async fn a_leavers_number_does_not_give_the_joiner_the_account(backend: Backend) {
    let app = TestApp::start(backend).await;
    json_of(&app, &["users", "create", "--login-id", "leaver", "--mobile", "9876543210"]).await;
    json_of(&app, &["users", "create", "--login-id", "other", "--mobile", "9876543219"]).await;
    for joiner in ["joiner", "other"] {
        let (_, errors, code) = import(&app, &format!("{HEADER}{joiner},9876543210,,,\n"), &["--update"]).await;
        assert_eq!((code, errors.contains("line 2: ")), (1, true), "{errors}");
    }
    assert_eq!(json_of(&app, &["users", "show", "leaver"]).await["mobile"], "+919876543210");
}

async fn accounts_are_listed_by_filters(backend: Backend) {
    let app = TestApp::start(backend).await;
    app.import(&format!("{HEADER}a.1,9876543210,,Ann,\nb.1,,bob@example.com,Bob,\nc.1,9876543212,,\u{202e}Eve,\n")).await;
    json_of(&app, &["users", "disable", "c.1"]).await;
    let ids = async |filters: &[&str]| {
        let (out, errors, code) = app.command(&[&["users", "list", "--json"], filters].concat()).await;
        assert_eq!(code, 0, "{errors}");
        let lines = out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.map(|user| user["login_id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&[]).await.len(), 3);
    assert_eq!(ids(&["--state", "disabled"]).await, ["c.1"]);
    assert_eq!(ids(&["--proven", "email"]).await, ["b.1"]);
    assert_eq!(ids(&["--containing", "ANN"]).await, ["a.1"]);
    assert_eq!(ids(&["--limit", "2"]).await.len(), 2);
    for command in ["list", "show"] {
        let arguments = if command == "list" { vec!["users", "list"] } else { vec!["users", "show", "c.1"] };
        let (out, ..) = app.command(&arguments).await;
        assert!(!out.contains('\u{202e}') && out.contains("\\u{202e}"), "a terminal would turn the text around: {out}");
    }
}

async fn an_import_again_is_unchanged_or_updates(backend: Backend) {
    let app = TestApp::start(backend).await;
    let csv = format!("{HEADER}OFF-1,9876543210,,Ann,en-IN\nOFF-2,,bob@example.com,\"Bob, B.\",\n");
    let counts = async |csv: &str, more: &[&str]| {
        let (out, errors, code) = import(&app, csv, &[more, &["--json"]].concat()).await;
        assert_eq!(code, 0, "{errors}");
        let told: Value = serde_json::from_str(out.trim()).unwrap();
        ["created", "updated", "unchanged"].map(|count| told[count].as_u64().unwrap())
    };
    assert_eq!(counts(&csv, &[]).await, [2, 0, 0]);
    assert_eq!(counts(&csv, &[]).await, [0, 0, 2]);
    assert_eq!(app.application.inbox.as_ref().unwrap().messages(None).len(), 0, "no message is sent");
    let newer = format!("{HEADER}OFF-1,9876543219,,Ann B.,\nOFF-2,,bob@example.com,,\n");
    let (_, errors, code) = import(&app, &newer, &[]).await;
    assert_eq!((code, errors.contains("--update")), (1, true), "{errors}");
    assert_eq!(counts(&newer, &["--update"]).await, [0, 1, 1]);
    let shown = json_of(&app, &["users", "show", "OFF-1"]).await;
    assert_eq!((&shown["mobile"], &shown["name"]), (&json!("+919876543219"), &json!("Ann B.")));
    assert_eq!(shown["locale"], "en-IN", "an empty cell says nothing");
}

async fn sessions_are_listed_and_revoked(backend: Backend) {
    let app = TestApp::start(backend).await;
    let ann = account(&app).await;
    let body = json!({"login_id": "ann.1", "password": PASSWORD});
    let second = app.post_from(&fresh_ip(), "/auth/login", body).await.is(200);
    let listed = json_of(&app, &["sessions", "list", "ann.1"]).await;
    let ids: Vec<&str> = listed["sessions"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 2);
    json_of(&app, &["sessions", "revoke", ids[0]]).await;
    app.me(second["access_token"].as_str().unwrap()).await.is_problem(401, "invalid_token");
    let (_, errors, code) = app.command(&["sessions", "revoke", ids[0]]).await;
    assert_eq!((code, errors.contains("no such session")), (1, true), "{errors}");
    app.me(ann["access_token"].as_str().unwrap()).await.is(200);
    json_of(&app, &["sessions", "revoke", "--all", "ann.1"]).await;
    let token = ann["access_token"].as_str().unwrap();
    app.send(app.request(Method::GET, "/users/me").bearer_auth(token)).await.is_problem(401, "invalid_token");
    assert_eq!(app.command(&["sessions", "revoke"]).await.2, 2, "the command line is wrong");
}

async fn an_export_tells_every_account(backend: Backend) {
    let app = TestApp::start(backend).await;
    let ann = account(&app).await;
    let lines: Vec<String> = (0..600).map(|n| format!("OFF-{n},98765{n:05},,,")).collect();
    app.import(&format!("{HEADER}{}\n", lines.join("\n"))).await;
    let (out, errors, code) = app.command(&["users", "export"]).await;
    assert_eq!(code, 0, "{errors}");
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 601);
    let mut own = lines.iter().find(|line| line["id"] == ann["user"]["id"]).unwrap().clone();
    assert_eq!(own["sessions"].as_array().unwrap().len(), 1);
    own.as_object_mut().unwrap().remove("sessions");
    assert_eq!(own, ann["user"], "the answer of /users/me");
}

async fn a_disabled_account_answers_like_an_unknown_one(backend: Backend) {
    let app = TestApp::with(backend, Options::unlimited()).await;
    account(&app).await;
    json_of(&app, &["users", "disable", "ann.1"]).await;
    let login = json!({"mobile": "9876543210", "password": PASSWORD});
    app.post("/auth/login", login.clone()).await.is_problem(401, "invalid_credentials");
    let basic = app.basic("/users/activate", "9876543210", PASSWORD, json!({"otp": "123456"})).await;
    basic.is_problem(401, "invalid_credentials");
    let sent = app.post("/auth/forgot-password", json!({"mobile": "9876543210"})).await.is(202);
    app.outbox_is_empty().await;
    assert!(app.messages(id(&sent)).is_empty());
    json_of(&app, &["users", "enable", "ann.1"]).await;
    app.post("/auth/login", login).await.is(200);
}
