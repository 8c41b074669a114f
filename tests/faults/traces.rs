//! Traces: a message's sending hangs under the request that asked for it, and no span names anybody.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest, common::v1::any_value::Value as Attribute, trace::v1::Span,
};
use prost::Message as _;
use serde_json::{Value, json};

use crate::support::{
    Backend,
    fake_provider::{Answers, Gateway},
    process::Sandbox,
    rabbit::{TestExchange, amqp_url},
};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn hex(bytes: &[u8]) -> String {
    enroll::domain::hex(bytes)
}

fn spans(collector: &Gateway) -> Vec<Span> {
    let received = collector.received();
    let exports = received.iter().map(|received| ExportTraceServiceRequest::decode(received.bytes.clone()).unwrap());
    exports.flat_map(|export| export.resource_spans).flat_map(|of| of.scope_spans).flat_map(|of| of.spans).collect()
}

fn attributes(span: &Span) -> BTreeMap<String, String> {
    let value = |attribute: &Option<Attribute>| match attribute {
        Some(Attribute::StringValue(text)) => text.clone(),
        Some(Attribute::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    let named = span.attributes.iter().map(|attribute| {
        (attribute.key.clone(), value(&attribute.value.clone().and_then(|any| any.value)))
    });
    named.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_trace_from_the_request_to_the_provider_and_the_event() {
    let (collector, provider) = (Gateway::start(Answers::With(200, "")).await, Gateway::start(Answers::With(200, "")).await);
    let exchange = TestExchange::on(amqp_url());
    let sandbox = Sandbox::new(Backend::Embedded).await;
    let mut node = sandbox
        .node()
        .set("AMQP_URL", &exchange.url)
        .set("ENROLL__EVENTS__EXCHANGE", &exchange.exchange)
        .set("ENROLL__TELEMETRY__OTLP_ENDPOINT", &collector.url)
        .set("OTEL_BSP_SCHEDULE_DELAY", "200")
        .set("ENROLL__NOTIFY__INBOX", "false")
        .set("ENROLL__NOTIFY__SMS", "webhook")
        .set("ENROLL__NOTIFY__WEBHOOK__URL", &format!("{}/hook", provider.url))
        .set("ENROLL__NOTIFY__WEBHOOK__SECRET", "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
    node.start();
    let consumer = node.consume_events(&exchange.queue, &[]).await;
    let http = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap();
    let registered: Value = http
        .post(format!("{}/api/v1/auth/register", node.base))
        .header("traceparent", PARENT)
        .header("x-request-id", "the-request")
        .json(&json!({"mobile": "9876543210", "password": "correct horse"}))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let sent = provider.wait_for(1).await.remove(0);
    let (_, trace, provider_span) = parts(sent.headers["traceparent"].to_str().unwrap());
    assert_eq!(trace, "0af7651916cd43dd8448eb211c80319c", "the provider is told the caller's trace");

    let started = Instant::now();
    let trace_of = |span: &Span| hex(&span.trace_id) == trace;
    let found = loop {
        let found: Vec<Span> = spans(&collector).into_iter().filter(trace_of).collect();
        if found.len() >= 3 {
            break found;
        }
        assert!(started.elapsed() < Duration::from_secs(10), "{found:#?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let named = |name: &str| found.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("{name}: {found:#?}"));
    let (request, message, provider) = (named("request"), named("message"), named("provider"));
    assert_eq!(hex(&request.parent_span_id), "b7ad6b7169203331");
    assert_eq!(message.parent_span_id, request.span_id);
    assert_eq!(provider.parent_span_id, message.span_id);
    assert_eq!(hex(&provider.span_id), provider_span);
    assert_eq!(attributes(request)["request_id"], "the-request");
    assert_eq!(attributes(request)["status"], "202");
    assert_eq!(attributes(message)["verification_id"], registered["verification"]["verification_id"].as_str().unwrap());
    assert_eq!(attributes(provider)["provider"], "webhook");
    for span in &found {
        let shown = format!("{:?} {:?}", attributes(span), span.events);
        assert!(!shown.contains("3210") && !shown.contains("127.0.0.1"), "nobody is named: {shown}");
    }

    let event = consumer.wait_for(1).await.remove(0);
    assert!(event["traceparent"].as_str().unwrap().contains(&trace), "{event}");
    drop(consumer);
    exchange.remove().await;
}

/// The version, the trace and the span of a `traceparent`.
fn parts(traceparent: &str) -> (String, String, String) {
    let parts: Vec<&str> = traceparent.split('-').collect();
    (parts[0].to_owned(), parts[1].to_owned(), parts[2].to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_down_costs_no_request() {
    let sandbox = Sandbox::new(Backend::Embedded).await;
    let mut node = sandbox.node().set("ENROLL__TELEMETRY__OTLP_ENDPOINT", "http://127.0.0.1:1").unlimited();
    node.start();
    for n in 0..20 {
        let body = json!({"mobile": format!("98765432{n:02}"), "password": "correct horse"});
        node.call(reqwest::Method::POST, "/auth/register", None, body).await.is(202);
    }
    let (took, code) = node.terminate();
    assert!(took < Duration::from_secs(9) && code == Some(0), "{took:?} {code:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_never_answers_costs_no_request() {
    let collector = Gateway::start(Answers::Never).await;
    let sandbox = Sandbox::new(Backend::Embedded).await;
    let mut node = sandbox
        .node()
        .set("ENROLL__TELEMETRY__OTLP_ENDPOINT", &collector.url)
        .set("OTEL_BSP_SCHEDULE_DELAY", "50")
        .unlimited();
    node.start();
    let started = Instant::now();
    for n in 0..20 {
        let body = json!({"mobile": format!("98765432{n:02}"), "password": "correct horse"});
        node.call(reqwest::Method::POST, "/auth/register", None, body).await.is(202);
    }
    collector.wait_for(1).await;
    assert!(started.elapsed() < Duration::from_secs(20), "no request waits for the collector's 10 s");
    let (took, code) = node.terminate();
    assert!(took < Duration::from_secs(15) && code == Some(0), "{took:?} {code:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_id_joins_the_lines_of_request_message_and_provider() {
    let provider = Gateway::start(Answers::With(503, "")).await;
    let sandbox = Sandbox::new(Backend::Embedded).await;
    let mut node = sandbox
        .node()
        .set("ENROLL__NOTIFY__INBOX", "false")
        .set("ENROLL__NOTIFY__SMS", "webhook,console")
        .set("ENROLL__NOTIFY__WEBHOOK__URL", &format!("{}/hook", provider.url))
        .set("ENROLL__NOTIFY__WEBHOOK__SECRET", "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
    node.start();
    let body = json!({"mobile": "9876543210", "password": "correct horse"});
    let registered = node.call(reqwest::Method::POST, "/auth/register", None, body).await.is(202);
    let id = registered["verification"]["verification_id"].as_str().unwrap();
    let started = Instant::now();
    for message in ["response", "a provider did not take a message", "sent"] {
        let is_there = || node.log.all().iter().any(|line| line.contains(id) && line.contains(&format!("\"{message}\"")));
        while !is_there() {
            assert!(started.elapsed() < Duration::from_secs(10), "{message}: {:#?}", node.log.all());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
