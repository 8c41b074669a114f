//! The copy of an embedded database, and its restore.

use reqwest::Method;
use serde_json::{Value, json};

use crate::run::{embedded, run};

#[tokio::test]
async fn a_copy_made_while_the_server_writes_is_restored_whole() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = embedded(&dir).unlimited();
    node.start();
    let registered: Value = register(&node, 0).await.is(202);
    let body = json!({"otp": node.code("+919876543200", 1).await,
        "verification_id": registered["verification"]["verification_id"]});
    node.call(Method::POST, "/auth/verify-otp", None, body).await.is(200);

    let copy = dir.path().join("copy.db");
    let (copied, ()) = tokio::join!(
        async {
            let (node, copy) = (embedded(&dir), copy.clone());
            tokio::task::spawn_blocking(move || run(&node, &["backup", copy.to_str().unwrap()])).await.unwrap()
        },
        async {
            for n in 1..20 {
                register(&node, n).await.is(202);
            }
        }
    );
    assert_eq!(copied.0, 0, "{copied:?}");
    assert!(copied.1.contains("root.key"), "it says what else to keep: {copied:?}");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&copy).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600, "as private as the database");
    let (code, _, errors) = run(&embedded(&dir), &["backup", copy.to_str().unwrap()]);
    assert_eq!(code, 1, "it overwrites nothing");
    assert!(errors.contains("exists"), "{errors}");
    node.kill();

    let restored_dir = tempfile::tempdir().unwrap();
    let data = restored_dir.path();
    std::fs::copy(&copy, data.join("enroll.db")).unwrap();
    std::fs::copy(dir.path().join("root.key"), data.join("root.key")).unwrap();
    let mut restored = embedded(&restored_dir);
    restored.start();
    let body = json!({"mobile": "9876543200", "password": "correct horse"});
    restored.call(Method::POST, "/auth/login", None, body).await.is(200);
}

async fn register(node: &crate::support::process::Node, n: u32) -> crate::support::Answer {
    let body = json!({"mobile": format!("98765432{n:02}"), "password": "correct horse"});
    node.call(Method::POST, "/auth/register", None, body).await
}

#[test]
fn a_copy_that_cannot_be_made_says_why_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("copy.db");
    let (code, _, errors) = run(&embedded(&dir), &["backup", copy.to_str().unwrap()]);
    assert_eq!((code, copy.exists()), (1, false), "{errors}");
    assert!(errors.contains("there is no database"), "{errors}");
    let postgres = crate::support::process::Node::new("postgres://somebody:hunter2@127.0.0.1:1/none");
    let (code, _, errors) = run(&postgres.set("REDIS_URL", "redis://127.0.0.1:1"), &["backup", "copy.db"]);
    assert_eq!(code, 1);
    assert!(errors.contains("pg_dump") && !errors.contains("hunter2"), "{errors}");
}
