//! Imports run downwards only: `http -> services -> engine -> store | codes | limits | crypto | redis -> domain`.
#![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "a helper that fails fails its test")]

use std::path::{Path, PathBuf};

/// Each folder or file of `src`, and the others it may name. `app` and `cli` name everything.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("circuit_breaker", &["domain"]),
    ("metrics", &[]),
    ("telemetry", &[]),
    ("crypto", &["domain", "metrics"]),
    ("redis", &["circuit_breaker", "domain"]),
    ("store", &["circuit_breaker", "domain"]),
    ("codes", &["domain", "limits", "redis"]),
    ("limits", &["domain", "redis"]),
    ("outbound", &[]),
    ("puzzles", &["crypto", "domain", "outbound"]),
    ("notify", &["crypto", "domain", "metrics", "outbound", "telemetry"]),
    ("events", &["crypto", "domain", "outbound", "telemetry"]),
    ("error", &["crypto", "domain", "puzzles", "store"]),
    (
        "engine",
        &[
            "circuit_breaker",
            "codes",
            "crypto",
            "domain",
            "error",
            "limits",
            "metrics",
            "puzzles",
            "redis",
            "store",
            "telemetry",
        ],
    ),
    ("services", &["codes", "crypto", "domain", "engine", "error", "limits", "store"]),
    ("workers", &["codes", "crypto", "domain", "engine", "error", "events", "metrics", "notify", "store", "telemetry"]),
    ("http", &["domain", "engine", "error", "metrics", "notify", "puzzles", "services", "telemetry"]),
    ("config", &["crypto", "domain", "engine", "events", "http", "notify", "puzzles", "redis", "store"]),
];
const ALL: &[&str] = &[
    "app",
    "circuit_breaker",
    "cli",
    "codes",
    "config",
    "crypto",
    "domain",
    "engine",
    "error",
    "events",
    "http",
    "limits",
    "metrics",
    "notify",
    "outbound",
    "puzzles",
    "redis",
    "services",
    "store",
    "telemetry",
    "workers",
];

fn files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| files(&path)).filter(|path| path.extension().is_some_and(|end| end == "rs")).collect()
}

/// Whether the code has `name::` as the first segment behind `crate::`, alone or in a group.
fn names(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let (before, after) = (&code[..at], &code[at + name.len()..]);
        if !after.starts_with("::") && !after.starts_with([',', ';', '}']) {
            return false;
        }
        let starts_segment = !before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
        before.ends_with("crate::") || (starts_segment && is_in_group(code, at))
    })
}

/// Whether the place is within `use crate::{…}`.
fn is_in_group(code: &str, at: usize) -> bool {
    code[..at].rfind("use crate::{").is_some_and(|start| !code[start..at].contains(';'))
}

#[test]
fn layers_look_only_downwards() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (layer, allowed) in MAY_NAME {
        let folder = src.join(layer);
        let root = if folder.is_dir() { folder } else { src.join(format!("{layer}.rs")) };
        for file in files(&root) {
            let code = std::fs::read_to_string(&file).unwrap();
            for other in ALL.iter().filter(|other| *other != layer && !allowed.contains(other)) {
                assert!(!names(&code, other), "{}: {layer} must not name {other}", file.display());
            }
        }
    }
}

/// Other people's code has its place too: services know no HTTP, no SQL, no Redis.
#[test]
fn only_their_layer_names_the_drivers() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (driver, homes) in [
        ("sqlx::", &["store"][..]),
        ("axum::", &["http"]),
        ("hyper", &["http"]),
        ("redis::", &["codes", "limits", "redis", "cli"]),
        ("lapin::", &["events"]),
        ("aws_sdk", &["notify"]),
        ("lettre::", &["notify"]),
        ("reqwest::", &["events", "notify", "config", "cli/health", "outbound", "puzzles"]),
        ("altcha::", &["puzzles"]),
        ("std::env::", &["config"]),
    ] {
        for file in files(&src) {
            let place = file.strip_prefix(&src).unwrap().to_string_lossy().into_owned();
            let at_home = homes.iter().any(|home| place.starts_with(home));
            let code = std::fs::read_to_string(&file).unwrap();
            let named = code.match_indices(driver).any(|(at, _)| {
                !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_')
                    && !code[..at].ends_with("crate::")
                    && !is_in_group(&code, at)
            });
            assert!(at_home || !named, "{place} must not name {driver}");
        }
    }
}

#[test]
fn a_forbidden_name_is_found_in_every_form() {
    assert!(names("use crate::store::Store;", "store"));
    assert!(names("use crate::{\n    codes::{A, B},\n    store::Store,\n};", "store"));
    assert!(names("let x = crate::store::f();", "store"));
    assert!(names("use crate::store;", "store"));
    assert!(names("use crate::{domain::A, store};", "store"));
    assert!(!names("use super::store::X; use crate::restore::Y;", "store"));
    assert!(!names("use crate::{domain::A}; other::store::f()", "store"));
}
