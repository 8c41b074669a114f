//! The README's commands and tables are true.

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
