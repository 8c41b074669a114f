//! The health check of a container, and the completions of a shell.

use crate::{
    run::{embedded, run},
    support::servers::free_port,
};

#[tokio::test]
async fn health_is_that_of_the_server_that_runs_here() {
    let dir = tempfile::tempdir().unwrap();
    let admin = format!("127.0.0.1:{}", free_port());
    let mut node = embedded(&dir).set("ENROLL__ADMIN__ADDRESS", &admin);
    let (code, _, errors) = run(&node, &["health"]);
    assert_eq!(code, 1, "nothing runs: {errors}");
    node.start();
    let (code, out, errors) = run(&node, &["health"]);
    assert_eq!(code, 0, "{errors}");
    assert!(out.contains(r#""status":"ready""#), "{out}");
}

#[test]
fn shells_complete_its_commands() {
    let dir = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let (code, out, _) = run(&embedded(&dir), &["completions", shell]);
        assert_eq!(code, 0);
        assert!(out.contains("check-config"), "{shell}: {out}");
    }
}
