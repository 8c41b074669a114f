//! Where the log goes, and how much of it.

use std::io::IsTerminal as _;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::{
    config::{LogFormat, Settings},
    telemetry,
};

/// Starts the log on standard error.
pub(super) fn start(settings: &Settings) {
    let levels = settings.log_levels.as_deref().unwrap_or("info");
    let parsed = levels.parse::<Targets>();
    let is_invalid = parsed.is_err();
    let levels = parsed.unwrap_or_else(|_| Targets::new().with_default(LevelFilter::INFO));
    let registry = tracing_subscriber::registry().with(filter(&levels, settings.log_foreign));
    let mut layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    if !std::io::stderr().is_terminal() {
        layer = layer.with_ansi(false);
    }
    let tracer = settings.otlp_endpoint.as_deref().map(telemetry::start);
    let (tracer, not_traced) = match tracer.transpose() {
        Ok(tracer) => (tracer, None),
        Err(error) => (None, Some(error)),
    };
    let registry = registry.with(
        tracer
            .map(|tracer| tracing_opentelemetry::layer().with_tracer(tracer).with_location(false).with_threads(false)),
    );
    match settings.log {
        LogFormat::Text => registry.with(layer).init(),
        LogFormat::Json => registry.with(layer.json().flatten_event(true).with_span_list(false)).init(),
    }
    if let Some(error) = not_traced {
        tracing::error!(%error, "nothing is traced");
    }
    if is_invalid {
        tracing::warn!("RUST_LOG must be a list of LEVEL and TARGET=LEVEL; info is used");
    }
    if settings.log_foreign {
        tracing::warn!("ENROLL__LOG__FOREIGN is true: other crates may log bodies and statements");
    }
}

/// One filter for all: two combined ones lose lines. Below info, other crates log bodies and statements, so they stay
/// at info unless `foreign`.
fn filter(levels: &Targets, foreign: bool) -> Targets {
    let default = levels.default_level().unwrap_or(LevelFilter::OFF);
    let cap = |level: LevelFilter| if foreign { level } else { level.min(LevelFilter::INFO) };
    let named = levels.iter().filter(|(target, _)| !target.is_empty());
    let capped = named.map(|(target, level)| {
        let is_ours = target == "enroll" || target.starts_with("enroll::");
        (target.to_owned(), if is_ours { level } else { cap(level) })
    });
    let ours = Targets::new().with_default(cap(default)).with_target("enroll", default);
    let ours = ours.with_target("opentelemetry", if foreign { default } else { LevelFilter::WARN });
    ours.with_target("lapin", if foreign { default } else { LevelFilter::ERROR }).with_targets(capped)
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn other_crates_stay_at_info_at_every_level() {
        let levels: Targets = "debug,tower=trace,enroll::http=trace,rustls=error".parse().unwrap();
        let filter_of = |foreign| filter(&levels, foreign);
        let passes = |target: &str, level: Level| filter_of(false).would_enable(target, &level);
        assert!(passes("enroll::app", Level::DEBUG) && !passes("enroll::app", Level::TRACE));
        assert!(passes("enroll::http::client", Level::TRACE));
        assert!(passes("tower::buffer", Level::INFO) && !passes("tower::buffer", Level::DEBUG));
        assert!(passes("rustls", Level::ERROR) && !passes("rustls", Level::INFO));
        assert!(!passes("lapin", Level::WARN) && passes("lapin", Level::ERROR));
        assert!(filter_of(true).would_enable("tower::buffer", &Level::TRACE));
        assert!(filter_of(true).would_enable("tokio", &Level::DEBUG));
    }
}
