//! Running the program to its end.

use crate::support::process::Node;

/// The exit code, standard output and standard error of a command with the node's settings.
pub fn run(node: &Node, arguments: &[&str]) -> (i32, String, String) {
    let done = node.command(arguments).output().unwrap();
    let words = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (done.status.code().unwrap(), words(done.stdout), words(done.stderr))
}

pub fn embedded(dir: &tempfile::TempDir) -> Node {
    Node::new(&format!("sqlite://{}", dir.path().join("enroll.db").display()))
        .set("ENROLL__DATA_DIR", &dir.path().display().to_string())
}
