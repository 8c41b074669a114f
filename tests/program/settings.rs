//! The settings as an operator writes them.

use std::process::Command;

use enroll::config::Settings;

use crate::run::{embedded, run};

#[test]
fn every_setting_is_in_env_example() {
    let example = include_str!("../../.env.example");
    for name in Settings::names() {
        let variable = match name {
            plain @ ("database_url" | "redis_url" | "amqp_url" | "rust_log") => plain.to_uppercase(),
            other => format!("ENROLL__{}", other.replace('.', "__").to_uppercase()),
        };
        assert!(example.lines().any(|line| line.starts_with(&format!("#{variable}="))), "{variable}");
    }
    let commented =
        example.lines().filter(|line| line.starts_with('#') && line.contains('=') && !line.starts_with("# "));
    assert_eq!(commented.count(), Settings::names().len(), "and nothing else is");
}

#[test]
fn env_example_uncommented_is_the_default() {
    let dir = tempfile::tempdir().unwrap();
    let example = include_str!("../../.env.example").lines();
    let settings: Vec<&str> = example
        .filter_map(|line| line.strip_prefix('#'))
        .filter(|line| !line.starts_with(' ') && line.contains('='))
        .collect();
    std::fs::write(dir.path().join(".env"), settings.join("\n")).unwrap();
    let checked =
        Command::new(env!("CARGO_BIN_EXE_enroll")).arg("check-config").env_clear().current_dir(dir.path()).output();
    let checked = checked.unwrap();
    assert!(checked.status.success(), "{checked:?}");
}

#[test]
fn wrong_settings_stop_the_start_and_are_all_named() {
    let dir = tempfile::tempdir().unwrap();
    let node = embedded(&dir).set("ENROLL__SERVER__PORT", "1").set("ENROLL__CODES__RESEND_AFTER", "soon");
    for command in [&["serve"][..], &["check-config"], &["migrate"], &[]] {
        let (code, _, errors) = run(&node, command);
        assert_eq!(code, 2, "{errors}");
        assert!(errors.contains("ENROLL__SERVER__PORT: unknown setting"), "{errors}");
        assert!(errors.contains("ENROLL__CODES__RESEND_AFTER: must be a whole number"), "{errors}");
        assert_eq!(errors.lines().count(), 2, "{errors}");
    }
    let (code, ..) = run(&node, &["no-such-command"]);
    assert_eq!(code, 2);
}
