//! The table: printed line by line, and kept in `docs/measurements.md` when every row was run.

use std::{
    fmt::Write as _,
    process::Command,
    sync::{Mutex, PoisonError},
};

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

pub fn line(text: impl Into<String>) {
    let text = text.into();
    println!("{text}");
    LINES.lock().unwrap_or_else(PoisonError::into_inner).push(text);
}

pub fn heading() {
    line(format!("{:37}{:>9}{:>9}{:>8}{:>7}{:>9}{:>7}", "", "limit/s", "ours/s", "ratio", "goal", "CPU ms", "goal"));
}

/// The median of pairs of rates, ours and the limit's.
pub fn row(name: &str, rates: &mut [(f64, f64)], goal: f64, cpu_ms: f64, cpu_goal: Option<f64>) {
    rates.sort_by(|a, b| (a.0 / a.1).total_cmp(&(b.0 / b.1)));
    let (ours, limit) = rates[rates.len() / 2];
    let (ratio, cpu_goal) = (ours / limit, cpu_goal.map(|goal| format!("{goal:.3}")).unwrap_or_default());
    line(format!("{name:37}{limit:>9.0}{ours:>9.0}{ratio:>8.2}{goal:>7.2}{cpu_ms:>9.3}{cpu_goal:>7}"));
}

/// Writes the page.
pub fn keep() {
    let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    let date = today();
    let mut page = String::from("# Measurements\n\n");
    let _ = writeln!(
        page,
        "The last whole run of `make bench`, of {date}. Each figure of ours stands beside a limit that was measured in\n\
         the same run, on the same machine: bare Argon2id with its memory kept, or the same statements by the database's\n\
         own tool. The ratio is what counts; absolute times are this machine's. [Scaling](scaling.md) reckons with them.\n"
    );
    let _ = writeln!(page, "- {}\n- {}\n- {}\n", machine(), version("psql"), version("redis-server"));
    let _ = writeln!(page, "```text\n{}\n```", lines.join("\n").trim());
    std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/measurements.md"), page).unwrap();
}

pub fn today() -> time::Date {
    time::OffsetDateTime::from(enroll::domain::Clock::now(&enroll::domain::SystemClock)).date()
}

fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let model = model.trim_start_matches([' ', '\t', ':']);
    format!("{cores} cores of {model}, shared by the server, its clients and the databases")
}

fn version(program: &str) -> String {
    let out = Command::new(program).arg("--version").output().map(|out| out.stdout).unwrap_or_default();
    let line = String::from_utf8_lossy(&out);
    line.lines().next().unwrap_or_default().split(" sha=").next().unwrap_or_default().to_owned()
}
