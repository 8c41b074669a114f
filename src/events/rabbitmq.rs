//! Events in RabbitMQ.

use std::{fmt, str::FromStr as _, time::Duration};

use async_trait::async_trait;
use futures_util::future::join_all;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, ExchangeKind,
    options::{BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions},
    types::{AMQPValue, FieldTable},
    uri::AMQPUri,
};
use tokio::{sync::Mutex, time::timeout};

use super::{EventPublisher, PublishOutcome, cloud_event::cloud_event};
use crate::domain::Event;

/// The location of RabbitMQ, and the topic exchange of events. Its `Debug` hides the password.
#[derive(Clone)]
pub struct RabbitUrl {
    uri: AMQPUri,
    /// The topic exchange.
    pub exchange: String,
}

/// Publishes events to a durable topic exchange: persistent, confirmed, with the type as routing key.
pub struct RabbitPublisher {
    url: RabbitUrl,
    /// The `source` of CloudEvents.
    source: String,
    /// Dropped at any trouble: the next batch connects anew.
    open: Mutex<Option<OpenChannel>>,
}

struct OpenChannel {
    _connection: Connection,
    channel: Channel,
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// For all confirms of a batch.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(4);
const PERSISTENT: u8 = 2;

impl RabbitUrl {
    /// Parses `amqp://` or `amqps://`.
    pub fn parse(url: &str, exchange: String) -> Result<Self, String> {
        let uri = AMQPUri::from_str(url).map_err(|_| "must begin with amqp:// or amqps://".to_owned())?;
        Ok(Self { uri, exchange })
    }

    /// Whether the URL ends with a slash and so names the virtual host with the empty name.
    pub fn has_empty_vhost(&self) -> bool {
        self.uri.vhost.is_empty()
    }

    /// Opens a channel, and declares the exchange if there is none: who may only publish may not declare, and one that
    /// an operator made may have arguments of its own.
    pub(super) async fn connect(&self, name: &str) -> Result<(Connection, Channel), lapin::Error> {
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        let connection = Connection::connect_uri(self.uri.clone(), properties).await?;
        let exchange = || self.exchange.as_str().into();
        let look = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
        let channel = connection.create_channel().await?;
        let found = channel.exchange_declare(exchange(), ExchangeKind::Topic, look, FieldTable::default()).await;
        if found.is_ok() {
            return Ok((connection, channel));
        }
        let channel = connection.create_channel().await?; // the miss closed the other
        let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        channel.exchange_declare(exchange(), ExchangeKind::Topic, durable, FieldTable::default()).await?;
        Ok((connection, channel))
    }

    /// Tries whether events could be published, without publishing one.
    pub async fn check(&self) -> Result<(), String> {
        let publishing = async {
            let (_connection, channel) = self.connect("enroll check").await?;
            channel.tx_select().await?;
            let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
            channel.basic_publish(self.exchange.as_str().into(), "check".into(), options, b"", properties).await?;
            channel.tx_rollback().await // the rights were checked, and nothing goes out
        };
        match timeout(CONNECT_TIMEOUT, publishing).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("no answer in time".to_owned()),
        }
    }
}

impl fmt::Debug for RabbitUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.uri.authority.host, self.uri.authority.port)
    }
}

impl RabbitPublisher {
    /// A publisher that connects at the first event.
    pub fn new(url: RabbitUrl, source: String) -> Self {
        Self { url, source, open: Mutex::new(None) }
    }

    async fn connect(&self) -> Result<OpenChannel, lapin::Error> {
        let (connection, channel) = self.url.connect("enroll publisher").await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        tracing::info!(rabbitmq = ?self.url, "publishing events");
        Ok(OpenChannel { _connection: connection, channel })
    }

    /// Writes all events, then waits for all confirms: awaited one by one, each would cost a round trip.
    async fn publish_on(&self, channel: &Channel, events: &[Event]) -> Vec<Result<Confirmation, lapin::Error>> {
        let mut confirms = Vec::with_capacity(events.len());
        for event in events {
            let (kind, envelope) = cloud_event(event, &self.source);
            let properties = BasicProperties::default()
                .with_content_type("application/cloudevents+json".into())
                .with_delivery_mode(PERSISTENT)
                .with_message_id(event.id.to_string().as_str().into())
                .with_type(kind.as_str().into())
                .with_headers(headers(event));
            let mandatory = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
            let body = envelope.to_string();
            let exchange = self.url.exchange.as_str().into();
            match channel.basic_publish(exchange, kind.as_str().into(), mandatory, body.as_bytes(), properties).await {
                Ok(confirm) => confirms.push(confirm),
                Err(error) => {
                    tracing::warn!(%error, "an event could not be written to RabbitMQ");
                    break;
                }
            }
        }
        join_all(confirms).await
    }
}

#[async_trait]
impl EventPublisher for RabbitPublisher {
    async fn publish(&self, events: &[Event]) -> Vec<PublishOutcome> {
        let mut open = self.open.lock().await;
        let live = match open.take().filter(|open| open.channel.status().connected()) {
            Some(live) => live,
            None => match timeout(CONNECT_TIMEOUT, self.connect()).await {
                Ok(Ok(live)) => live,
                Ok(Err(error)) => {
                    tracing::warn!(rabbitmq = ?self.url, %error, "RabbitMQ refused, or cannot be reached; events wait");
                    return Vec::new();
                }
                Err(_) => {
                    tracing::warn!(rabbitmq = ?self.url, "RabbitMQ does not respond; events wait");
                    return Vec::new();
                }
            },
        };
        let Ok(confirmed) = timeout(CONFIRM_TIMEOUT, self.publish_on(&live.channel, events)).await else {
            tracing::warn!("RabbitMQ does not confirm; events are published again");
            return Vec::new(); // and the connection is dropped
        };
        let outcomes = confirmed.into_iter().map_while(|confirmation| match confirmation {
            // An unroutable one is acknowledged too, with itself in it.
            Ok(Confirmation::Ack(None)) => Some(PublishOutcome::Confirmed),
            Ok(Confirmation::Ack(Some(_))) => Some(PublishOutcome::Unroutable),
            Ok(Confirmation::Nack(_)) => Some(PublishOutcome::Refused),
            _ => None,
        });
        let outcomes: Vec<_> = outcomes.collect();
        if outcomes.len() == events.len() {
            *open = Some(live);
        }
        outcomes
    }
}

/// The context of the event's trace, for consumers that go on with it.
fn headers(event: &Event) -> FieldTable {
    let mut headers = FieldTable::default();
    if let Some(parent) = &event.traceparent {
        headers.insert("traceparent".into(), AMQPValue::LongString(parent.as_str().into()));
    }
    headers
}
