//! Output for people, or for programs (`--json`).

use std::io::{IsTerminal as _, Write as _};

use serde_json::Value;

/// Prints one JSON line, or a line for each field.
pub(super) fn print(output: &Value, as_json: bool) {
    match output {
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

/// Shows progress on a terminal.
pub(super) struct Progress {
    total: usize,
    is_terminal: bool,
}

impl Progress {
    pub(super) fn new(total: usize) -> Self {
        Self { total, is_terminal: std::io::stderr().is_terminal() }
    }

    pub(super) fn show(&mut self, done: usize) {
        if self.is_terminal {
            eprint!("\r{done} of {}", self.total);
            let _ = std::io::stderr().flush();
        }
    }

    pub(super) fn finish(self) {
        if self.is_terminal {
            eprintln!();
        }
    }
}
