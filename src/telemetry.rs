//! Traces: spans go to a collector by OTLP, and their context comes in and goes out as W3C Trace Context says.
//!
//! What is exported is named here, so that no address and no client can slip into a span.

use std::{collections::HashMap, sync::OnceLock};

use opentelemetry::{propagation::TextMapPropagator as _, trace::TracerProvider as _};
use opentelemetry_otlp::{Protocol, WithExportConfig as _};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    propagation::TraceContextPropagator,
    trace::{SdkTracer, SdkTracerProvider, SpanData, SpanEvents, SpanExporter},
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// The fields of spans that are exported; `client` and `destination` stay in the log.
const EXPORTED: [&str; 9] =
    ["request_id", "method", "route", "status", "message.id", "verification_id", "provider", "purpose", "event.id"];

/// `None` while nothing is traced: then the functions below do nothing.
static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();

/// Begins to trace, and returns what spans are given to. Its exporter has a thread of its own.
pub fn start(endpoint: &str) -> anyhow::Result<SdkTracer> {
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(endpoint)
        .build()?;
    let resource = Resource::builder().with_service_name("enroll").build();
    let provider = SdkTracerProvider::builder().with_batch_exporter(Nameless(exporter)).with_resource(resource).build();
    let tracer = provider.tracer("enroll");
    PROVIDER.set(provider).map_err(|_| anyhow::anyhow!("traces are collected already"))?;
    Ok(tracer)
}

/// Exports what is left, at the end of the process.
pub fn finish() {
    if let Some(provider) = PROVIDER.get() {
        let _ = provider.shutdown(); // a collector that is down is no reason to stay
    }
}

/// The context of the current span as `traceparent`; `None` while nothing is traced.
pub fn traceparent() -> Option<String> {
    PROVIDER.get()?;
    let mut carrier = HashMap::new();
    TraceContextPropagator::new().inject_context(&Span::current().context(), &mut carrier);
    carrier.remove("traceparent")
}

/// Hangs the span under the one that a `traceparent` names.
pub fn continue_from(span: &Span, traceparent: &str) {
    if PROVIDER.get().is_some() {
        let carrier = HashMap::from([("traceparent".to_owned(), traceparent.to_owned())]);
        let _ = span.set_parent(TraceContextPropagator::new().extract(&carrier)); // one that is wrong names none
    }
}

/// Exports spans without what is not in [`EXPORTED`], and without the log lines within them.
#[derive(Debug)]
struct Nameless(opentelemetry_otlp::SpanExporter);

impl SpanExporter for Nameless {
    fn export(&self, mut batch: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
        for span in &mut batch {
            span.attributes.retain(|attribute| EXPORTED.contains(&attribute.key.as_str()));
            span.events = SpanEvents::default();
        }
        self.0.export(batch)
    }

    fn shutdown_with_timeout(&self, timeout: std::time::Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.0.set_resource(resource);
    }
}
