//! What commands print: for people, or for programs (`--json`).

use std::io::{IsTerminal as _, Write as _};

use serde_json::Value;

/// A JSON line, or a line for each field.
pub(super) fn print(answer: &Value, as_json: bool) {
    match answer {
        Value::Object(fields) if !as_json => {
            for (name, value) in fields {
                print_field(name, value);
            }
        }
        other => println!("{other}"),
    }
}

fn print_field(name: &str, value: &Value) {
    match value {
        Value::Null => {}
        Value::String(text) => println!("{name}: {text}"),
        Value::Array(items) => {
            println!("{name}: {}", items.len());
            for item in items {
                println!("  {item}");
            }
        }
        other => println!("{name}: {other}"),
    }
}

/// How far something is, on a terminal.
pub(super) struct Progress {
    of: usize,
    shown: bool,
}

impl Progress {
    pub(super) fn new(of: usize) -> Self {
        Self { of, shown: std::io::stderr().is_terminal() }
    }

    pub(super) fn show(&mut self, done: usize) {
        if self.shown {
            eprint!("\r{done} of {}", self.of);
            let _ = std::io::stderr().flush();
        }
    }

    pub(super) fn finish(self) {
        if self.shown {
            eprintln!();
        }
    }
}
