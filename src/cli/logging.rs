use tracing::Level;
use tracing_subscriber::{
    EnvFilter, Layer as _, filter::FilterExt as _, filter::filter_fn, layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use crate::config::{LogFormat, Settings};

/// One structured line a request, to standard error.
pub(super) fn start(settings: &Settings) {
    let levels = settings.log_levels.clone().unwrap_or_else(|| "info".to_owned());
    let asked = EnvFilter::builder().with_default_directive(Level::INFO.into()).parse_lossy(levels);
    let foreign = settings.log_foreign;
    // Below info, other people's code logs bodies and statements.
    let ours = filter_fn(move |meta| foreign || meta.target().starts_with("enroll") || *meta.level() <= Level::INFO);
    let filter = asked.and(ours);
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry();
    match settings.log {
        LogFormat::Text => registry.with(layer.with_filter(filter)).init(),
        LogFormat::Json => {
            registry.with(layer.json().flatten_event(true).with_span_list(false).with_filter(filter)).init();
        }
    }
    if foreign {
        tracing::warn!("ENROLL__LOG__FOREIGN is true: other people's code may log bodies and statements");
    }
}
