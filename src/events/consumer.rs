//! Consuming events.

use std::{
    collections::{HashSet, VecDeque},
    time::Duration,
};

use futures_util::StreamExt as _;
use lapin::{
    Channel, Connection, ExchangeKind,
    message::Delivery,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions, BasicRejectOptions,
        ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable},
};
use serde_json::Value;

use super::RabbitUrl;
use crate::domain::sha256;

/// Consumes a queue of its own: events come at least once from the exchange, and once for each id to the handler.
pub struct Consumer {
    url: RabbitUrl,
    settings: ConsumerSettings,
    repeats: Repeats,
}

/// The hashes of the last ids, to drop repeats: an id may be of any length.
#[derive(Default)]
struct Repeats {
    seen: HashSet<[u8; 32]>,
    order: VecDeque<[u8; 32]>,
}

/// The settings of a consumer.
#[derive(Debug, Clone)]
pub struct ConsumerSettings {
    /// The durable, replicated queue; consumers of one queue share its events.
    pub queue: String,
    /// The types that it consumes, as `user.*` or `#`.
    pub topics: Vec<String>,
}

/// The result of handling an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandlerResult {
    /// It is done.
    Done,
    /// It comes again; after some tries it becomes a dead letter.
    Failed,
}

const PREFETCH: u16 = 32;
/// An event that always fails is tried so often.
const TRIES: i64 = 5;
/// Repeats come soon after the first, if at all; so many ids are remembered.
const REMEMBERED: usize = 10_000;

impl Consumer {
    /// A consumer that connects when it runs.
    pub fn new(url: RabbitUrl, settings: ConsumerSettings) -> Self {
        Self { url, settings, repeats: Repeats::default() }
    }

    /// Passes each event to `handle`, for ever; reconnects when the connection is lost.
    pub async fn run(&mut self, handle: impl AsyncFn(&Value) -> HandlerResult) {
        let mut wait = Duration::from_millis(500);
        loop {
            let connected = tokio::time::Instant::now();
            if let Err(error) = self.listen(&handle).await {
                tracing::warn!(rabbitmq = ?self.url, %error, "the connection was lost, or could not be made");
            }
            // A connection that lasted is followed by a quick try; a server that is down by slower ones.
            let lasted = connected.elapsed() > Duration::from_secs(10);
            wait = if lasted { Duration::from_millis(500) } else { (wait * 2).min(Duration::from_secs(8)) };
            tokio::time::sleep(wait).await;
        }
    }

    async fn listen(&mut self, handle: &impl AsyncFn(&Value) -> HandlerResult) -> Result<(), lapin::Error> {
        let (connection, channel) = self.url.connect("enroll consumer").await?;
        self.declare(&connection).await?;
        channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
        let queue = self.settings.queue.as_str().into();
        let options = BasicConsumeOptions::default();
        let mut events = channel.basic_consume(queue, "".into(), options, FieldTable::default()).await?;
        tracing::info!(rabbitmq = ?self.url, queue = self.settings.queue, "listening");
        while let Some(delivery) = events.next().await {
            self.take(delivery?, handle).await?;
        }
        Ok(())
    }

    /// Declares the queue and that of its dead letters, if there is none, and binds it. A queue that an operator made
    /// is taken as it is; so are its bindings, where they may not be made.
    async fn declare(&self, connection: &Connection) -> Result<(), lapin::Error> {
        let ConsumerSettings { queue, topics } = &self.settings;
        let look = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let channel = connection.create_channel().await?;
        let is_there = channel.queue_declare(queue.as_str().into(), look, FieldTable::default()).await.is_ok();
        if !is_there {
            Self::declare_queue(&connection.create_channel().await?, queue).await?;
        }
        for topic in topics {
            let channel = connection.create_channel().await?; // a refusal closes it
            let (exchange, options) = (self.url.exchange.as_str().into(), QueueBindOptions::default());
            let binding = channel.queue_bind(
                queue.as_str().into(),
                exchange,
                topic.as_str().into(),
                options,
                FieldTable::default(),
            );
            match binding.await {
                Err(error) if is_there => {
                    tracing::warn!(queue, topic, %error, "the queue cannot be bound; it stays as it is");
                }
                other => other?,
            }
        }
        Ok(())
    }

    async fn declare_queue(channel: &Channel, queue: &str) -> Result<(), lapin::Error> {
        let dead = format!("{queue}.dead");
        let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        let none = FieldTable::default;
        channel.exchange_declare(dead.as_str().into(), ExchangeKind::Fanout, durable, none()).await?;
        let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        let quorum = || AMQPValue::LongString("quorum".into());
        let mut replicated = FieldTable::default();
        replicated.insert("x-queue-type".into(), quorum());
        channel.queue_declare(dead.as_str().into(), durable, replicated.clone()).await?;
        let bind = QueueBindOptions::default();
        channel.queue_bind(dead.as_str().into(), dead.as_str().into(), "".into(), bind, none()).await?;
        replicated.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(TRIES));
        replicated.insert("x-dead-letter-exchange".into(), AMQPValue::LongString(dead.as_str().into()));
        channel.queue_declare(queue.into(), durable, replicated).await.map(drop)
    }

    async fn take(
        &mut self,
        delivery: Delivery,
        handle: &impl AsyncFn(&Value) -> HandlerResult,
    ) -> Result<(), lapin::Error> {
        let Some((event, id)) = read(&delivery.data) else {
            tracing::warn!("a message that is not an event becomes a dead letter");
            return delivery.reject(BasicRejectOptions { requeue: false }).await.map(drop);
        };
        if self.repeats.have(&id) || handle(&event).await == HandlerResult::Done {
            self.repeats.remember(id);
            return delivery.ack(BasicAckOptions::default()).await.map(drop);
        }
        delivery.nack(BasicNackOptions { requeue: true, multiple: false }).await.map(drop)
    }
}

/// The event and its id's hash; `None` for what is no JSON, and for what has no id.
fn read(message: &[u8]) -> Option<(Value, [u8; 32])> {
    let event: Value = serde_json::from_slice(message).ok()?;
    let id = event.get("id")?.as_str().filter(|id| !id.is_empty())?;
    let hash = sha256(id.as_bytes());
    Some((event, hash))
}

impl Repeats {
    fn have(&self, id: &[u8; 32]) -> bool {
        self.seen.contains(id)
    }

    fn remember(&mut self, id: [u8; 32]) {
        if self.seen.insert(id) {
            self.order.push_back(id);
        }
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.seen.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_is_an_object_with_an_id() {
        assert!(read(br#"{"id":"a"}"#).is_some());
        for wrong in ["", "{", "null", "12", "[]", r#""id""#, "{}", r#"{"id":""}"#, r#"{"id":1}"#, r#"[{"id":"a"}]"#] {
            assert!(read(wrong.as_bytes()).is_none(), "{wrong}");
        }
        let deep = format!(r#"{{"id":"a","data":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert!(read(deep.as_bytes()).is_none(), "what is nested too deep ends no consumer");
    }

    #[test]
    fn the_newest_ids_are_remembered() {
        let mut repeats = Repeats::default();
        let id = |n: usize| sha256(&n.to_be_bytes());
        for n in [0, 0].into_iter().chain(1..=REMEMBERED) {
            repeats.remember(id(n));
        }
        assert!(!repeats.have(&id(0)) && repeats.have(&id(1)) && repeats.have(&id(REMEMBERED)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            read(&bytes);
        }

        #[test]
        fn any_id_is_read(id in "\\PC{1,60}|[\\x00-\\x1f\"\\\\]{1,20}", other in "\\PC{0,20}") {
            let (event, hash) = read(json!({"id": id, "other": other}).to_string().as_bytes()).unwrap();
            prop_assert_eq!((event["id"].as_str(), hash), (Some(id.as_str()), sha256(id.as_bytes())));
        }
    }
}
