//! The settings as an operator writes them.

use std::process::Command;

use enroll::config::Settings;

use crate::run::{embedded, run};

#[test]
fn every_setting_is_in_env_example() {
    let example = include_str!("../../.env.example");
    for name in Settings::names() {
        let variable = match name {
            plain @ ("database_url" | "database_direct_url" | "redis_url" | "amqp_url" | "rust_log" | "otel_exporter_otlp_endpoint") => plain.to_uppercase(),
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

#[test]
fn a_line_of_dot_env_is_named_by_number_and_variable() {
    let dir = tempfile::tempdir().unwrap();
    let write = |text: &str| std::fs::write(dir.path().join(".env"), text).unwrap();
    let check = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_enroll"));
        let done = command.arg("check-config").env_clear().current_dir(dir.path()).output().unwrap();
        let text = String::from_utf8(done.stdout).unwrap() + &String::from_utf8(done.stderr).unwrap();
        (done.status.code().unwrap(), text)
    };
    write("# mail\nENROLL__NOTIFY__SMTP__FROM=Acme Shop <a@b.co>\n");
    let (code, errors) = check();
    assert_eq!(code, 2);
    assert!(errors.contains(".env, line 2 (ENROLL__NOTIFY__SMTP__FROM): put quotes"), "{errors}");
    assert!(!errors.contains("a@b.co"), "a value may be a secret: {errors}");
    write("\u{feff}ENROLL__NOTIFY__BRAND=\"Acme Shop\"\n");
    assert_eq!(check().0, 0, "{:?}", check());
}

#[test]
fn settings_that_were_meant_for_us_are_remarked_on() {
    let dir = tempfile::tempdir().unwrap();
    for (name, value, remark) in [
        ("ENROLL_SERVER_ADDRESS", "127.0.0.1:1", "the name is ENROLL__SERVER__ADDRESS"),
        ("ENROLL_ANYTHING", "1", "ENROLL_ANYTHING is ignored"),
        ("ENROLL__SERVER__TRUSTED_PROXIES", "0.0.0.0/0", "trusts everybody"),
        ("ENROLL__SERVER__TRUSTED_PROXIES", "10.0.0.0/8,::/0", "trusts everybody"),
        ("AMQP_URL", "amqp://guest@127.0.0.1:5672/", "virtual host"),
    ] {
        let (code, out, errors) = run(&embedded(&dir).set(name, value), &["check-config"]);
        assert_eq!(code, i32::from(name == "AMQP_URL"), "{errors}"); // the server has no such host
        assert!(out.contains(remark), "{name}: {out}");
    }
    for address in ["localhost:8000", "127.0.0.1:8000"] {
        let (code, _, errors) = run(&embedded(&dir).set("ENROLL__SERVER__ADDRESS", address), &["check-config"]);
        assert_eq!(code, 0, "{errors}");
    }
    for address in ["8000", ":8000", "localhost"] {
        let (code, _, errors) = run(&embedded(&dir).set("ENROLL__SERVER__ADDRESS", address), &["check-config"]);
        assert_eq!((code, errors.contains("such as 127.0.0.1:8000")), (2, true), "{errors}");
    }
}
