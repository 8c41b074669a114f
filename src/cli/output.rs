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

/// Prints one JSON line, or one line of NAME=VALUE.
pub(super) fn print_line(row: &Value, as_json: bool) {
    if as_json {
        return println!("{row}");
    }
    let fields = row.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    let fields: Vec<String> =
        fields.map(|(name, value)| format!("{name}={}", value.as_str().map_or(value.to_string(), escaped))).collect();
    println!("{}", fields.join(" "));
}

/// Without what a terminal would obey: control characters, and those that change the direction of text.
fn escaped(text: &str) -> String {
    let is_obeyed = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if is_obeyed(c) { c.escape_unicode().to_string() } else { c.to_string() }).collect()
}

fn print_field(name: &str, value: &Value) {
    match value {
        Value::Null => {}
        Value::String(text) => println!("{name}: {}", escaped(text)),
        Value::Array(items) => {
            println!("{name}: {}", items.len());
            for item in items {
                println!("  {}", escaped(&item.to_string()));
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
