//! Every operation and every error code that the OpenAPI document tells is met by some story.

use std::collections::BTreeSet;

use enroll::config::{Settings, Sources};
use futures_util::{FutureExt as _, StreamExt as _, stream};
use serde_json::Value;

use crate::support::{Story, app::recorded_answers, secrets};

/// As `path` in the document, if it is that: `{id}` stands for a segment.
fn is_of(template: &str, path: &str) -> bool {
    let relative = path.strip_prefix("/api/v1").unwrap_or(path);
    let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), relative.split('/').collect());
    template.len() == path.len()
        && template.iter().zip(&path).all(|(a, b)| a == b || (a.starts_with('{') && !b.is_empty()))
}

/// The words between backticks that name an error.
fn codes(description: &str) -> impl Iterator<Item = &str> {
    description.split('`').skip(1).step_by(2)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_and_error_code_is_exercised() {
    secrets::SHARED.store(true, std::sync::atomic::Ordering::Relaxed);
    let stories: Vec<Story> = [
        super::idempotency::all(),
        super::challenges::all(),
        super::code_login::all(),
        // The others of its file count seconds, which this crowd would take from them.
        super::connections::all().into_iter().filter(|(name, _)| name.ends_with("a_slow_body_is_408")).collect(),
        super::contacts::all(),
        super::delivery::all(),
        super::validation::all(),
        super::limits::all(),
        super::login::all(),
        super::camel_case_clients::all(),
        super::outages::all(),
        super::pending_registrations::all(),
        super::pre_hijacking::all(),
        super::profile::all(),
        super::recovery::all(),
        super::registration::all(),
        super::removed_contacts::all(),
    ]
    .concat();
    // A story that fails in this crowd fails as a test of its own, or what it met is missing below.
    let told = |(_, story): Story| std::panic::AssertUnwindSafe(story()).catch_unwind().map(drop);
    stream::iter(stories).for_each_concurrent(3, told).await;

    let settings = Settings::load(&Sources::default()).unwrap();
    let document = serde_json::to_value(enroll::http::openapi(&settings.server)).unwrap();
    let answers = recorded_answers();
    let (mut untried, mut unmet) = (Vec::new(), BTreeSet::new());
    for (path, item) in document["paths"].as_object().unwrap() {
        let template = path.strip_prefix("/api/v1").unwrap_or(path);
        for (method, operation) in item.as_object().unwrap() {
            let tried = answers.iter().any(|(asked, at, status, _)| {
                asked.eq_ignore_ascii_case(method) && is_of(template, at) && *status < 300
            });
            if !tried {
                untried.push(format!("{method} {path}"));
            }
            for (status, response) in operation["responses"].as_object().unwrap() {
                for code in codes(response["description"].as_str().unwrap()).filter(|_| status.as_str() >= "400") {
                    let met = answers.iter().any(|(.., at, met)| at.to_string() == *status && met == code);
                    if !met {
                        unmet.insert(format!("{status} {code}"));
                    }
                }
            }
        }
    }
    assert!(untried.is_empty(), "no story has these succeed: {untried:#?}");
    assert!(unmet.is_empty(), "no story meets these: {unmet:#?}");
    assert!(matches!(document["openapi"], Value::String(_)));
}
