//! Output for people, or for programs (`--json`).

use std::io::{IsTerminal as _, Write as _};

use serde_json::Value;

/// Prints a line. Where nobody reads any more (`enroll … | head`) the program ends quietly, as others do; where the line
/// cannot be written it says so.
pub(super) fn line(text: impl std::fmt::Display) {
    let Err(error) = writeln!(std::io::stdout(), "{text}") else { return };
    if error.kind() == std::io::ErrorKind::BrokenPipe {
        std::process::exit(0);
    }
    let _ = writeln!(std::io::stderr(), "standard output cannot be written: {error}");
    std::process::exit(1);
}

/// Prints one JSON line, or a line for each field.
pub(super) fn print(output: &Value, as_json: bool) {
    match output {
        Value::Object(fields) if !as_json => {
            for (name, value) in fields {
                print_field(name, value);
            }
        }
        other => line(other),
    }
}

/// Prints one JSON line, or one line of NAME=VALUE.
pub(super) fn print_line(row: &Value, as_json: bool) {
    if as_json {
        return line(row);
    }
    line(pairs(row));
}

/// NAME=VALUE for each field that is not null.
pub(super) fn pairs(row: &Value) -> String {
    let fields = row.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    let fields: Vec<String> =
        fields.map(|(name, value)| format!("{name}={}", value.as_str().map_or(value.to_string(), quoted))).collect();
    fields.join(" ")
}

/// Without what a terminal would obey: control characters, and those that change the direction of text.
fn escaped(text: &str) -> String {
    let is_obeyed = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if is_obeyed(c) { c.escape_unicode().to_string() } else { c.to_string() }).collect()
}

/// In quotes where it would read as more than one value.
fn quoted(text: &str) -> String {
    let text = escaped(text);
    if text.contains([' ', '"', '=']) { format!("{text:?}") } else { text }
}

fn print_field(name: &str, value: &Value) {
    match value {
        Value::Null => {}
        Value::String(text) => line(format_args!("{name}: {}", escaped(text))),
        Value::Array(items) => {
            line(format_args!("{name}: {}", items.len()));
            for item in items {
                line(format_args!("  {}", escaped(&item.to_string())));
            }
        }
        other => line(format_args!("{name}: {other}")),
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
