//! The README's commands and the tables of the documentation are true.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Backend, process::Sandbox};

stories!(the_readmes_story_works_as_it_stands);

async fn the_readmes_story_works_as_it_stands(backend: Backend) {
    let sandbox = Sandbox::new(backend).await;
    let mut node = sandbox.node().set("ENROLL__NOTIFY__INBOX", "true");
    node.start();
    let readme = include_str!("../../README.md");
    let block = readme.split("<!-- a test runs this block as it stands -->\n```sh\n").nth(1).unwrap();
    let story = block.split("\n```").next().unwrap();
    let told = Command::new("bash").args(["-euo", "pipefail", "-c", story]).env("URL", &node.base).output().unwrap();
    assert!(told.status.success(), "{told:?}");
    let out = String::from_utf8(told.stdout).unwrap();
    let (registered, me) = out.split_at(out.find("}}").unwrap() + 2);
    let registered: Value = serde_json::from_str(registered).unwrap();
    let me: Value = serde_json::from_str(me).unwrap();
    assert_eq!(registered["status"], "pending");
    assert_eq!((&me["mobile"], &me["is_active"]), (&json!("+919876543210"), &json!(true)));
    assert_eq!(me["id"], registered["user_id"]);
}

#[test]
fn the_table_of_errors_is_that_of_the_code() {
    let table = enroll::http::error_table();
    assert!(include_str!("../../docs/errors.md").contains(&table), "docs/errors.md must have this table:\n{table}");
    let table = enroll::http::gotrue_error_table();
    assert!(include_str!("../../docs/gotrue.md").contains(&table), "docs/gotrue.md must have this table:\n{table}");
}

#[test]
fn every_source_file_opens_with_a_line_that_says_what_it_is_for() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let ours = files(&root.join("src")).into_iter().chain(files(&root.join("tests")));
    let without = ours.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).filter(|path| {
        let text = std::fs::read_to_string(path).unwrap();
        !["//! ", "#![doc", "// "].iter().any(|start| text.starts_with(start))
    });
    assert_eq!(without.collect::<Vec<_>>(), Vec::<std::path::PathBuf>::new());
}

fn files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}
