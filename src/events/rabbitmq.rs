use std::{fmt, str::FromStr as _, time::Duration};

use async_trait::async_trait;
use futures_util::future::join_all;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, ExchangeKind,
    options::{BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions},
    types::FieldTable,
    uri::AMQPUri,
};
use tokio::{sync::Mutex, time::timeout};

use super::{EventPublisher, Published, cloud_event::cloud_event};
use crate::domain::Event;

/// Where `RabbitMQ` is, and the topic exchange that events go to; its `Debug` hides the password.
#[derive(Clone)]
pub struct RabbitAddress {
    uri: AMQPUri,
    pub exchange: String,
}

/// Events to a durable topic exchange: persistent, confirmed, the routing key is the event's type.
pub struct RabbitPublisher {
    address: RabbitAddress,
    /// Who tells: `CloudEvents`' `source`.
    source: String,
    /// Dropped at any trouble: the next publishing connects anew.
    open: Mutex<Option<Open>>,
}

struct Open {
    _connection: Connection,
    channel: Channel,
}

const CONNECTING: Duration = Duration::from_secs(3);
/// For all confirms of a batch.
const CONFIRMING: Duration = Duration::from_secs(4);
const PERSISTENT: u8 = 2;

impl RabbitAddress {
    /// From `amqp://` or `amqps://`.
    pub fn parse(url: &str, exchange: String) -> Result<Self, String> {
        let uri = AMQPUri::from_str(url).map_err(|_| "is no amqp:// or amqps:// URL".to_owned())?;
        Ok(Self { uri, exchange })
    }

    /// Opens a channel and makes sure that the exchange is there.
    pub(super) async fn connect(&self, name: &str) -> Result<(Connection, Channel), lapin::Error> {
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        let connection = Connection::connect_uri(self.uri.clone(), properties).await?;
        let channel = connection.create_channel().await?;
        let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        let exchange = self.exchange.as_str().into();
        channel.exchange_declare(exchange, ExchangeKind::Topic, durable, FieldTable::default()).await?;
        Ok((connection, channel))
    }
}

impl fmt::Debug for RabbitAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.uri.authority.host, self.uri.authority.port)
    }
}

impl RabbitPublisher {
    pub fn new(address: RabbitAddress, source: String) -> Self {
        Self { address, source, open: Mutex::new(None) }
    }

    async fn connect(&self) -> Result<Open, lapin::Error> {
        let (connection, channel) = self.address.connect("enroll publisher").await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        tracing::info!(rabbitmq = ?self.address, "publishing events");
        Ok(Open { _connection: connection, channel })
    }

    /// Writes all, then waits for all confirms: awaited one by one, each would cost a round trip.
    async fn publish_on(&self, channel: &Channel, events: &[Event]) -> Vec<Result<Confirmation, lapin::Error>> {
        let mut confirms = Vec::with_capacity(events.len());
        for event in events {
            let (kind, envelope) = cloud_event(event, &self.source);
            let properties = BasicProperties::default()
                .with_content_type("application/cloudevents+json".into())
                .with_delivery_mode(PERSISTENT)
                .with_message_id(event.id.to_string().as_str().into())
                .with_type(kind.as_str().into());
            let mandatory = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
            let body = envelope.to_string();
            let exchange = self.address.exchange.as_str().into();
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
    async fn publish(&self, events: &[Event]) -> Vec<Published> {
        let mut open = self.open.lock().await;
        let live = match open.take().filter(|open| open.channel.status().connected()) {
            Some(live) => live,
            None => match timeout(CONNECTING, self.connect()).await {
                Ok(Ok(live)) => live,
                Ok(Err(error)) => {
                    tracing::warn!(rabbitmq = ?self.address, %error, "RabbitMQ can't be reached; events wait");
                    return Vec::new();
                }
                Err(_) => {
                    tracing::warn!(rabbitmq = ?self.address, "RabbitMQ does not answer; events wait");
                    return Vec::new();
                }
            },
        };
        let Ok(confirmed) = timeout(CONFIRMING, self.publish_on(&live.channel, events)).await else {
            tracing::warn!("RabbitMQ confirms nothing; events are published again");
            return Vec::new(); // and the connection is dropped
        };
        let mut published = Vec::with_capacity(events.len());
        for confirmation in confirmed {
            match confirmation {
                // An unroutable one is acknowledged too, with itself in it.
                Ok(Confirmation::Ack(None)) => published.push(Published::Confirmed),
                Ok(Confirmation::Ack(Some(_))) => published.push(Published::Unroutable),
                _ => break,
            }
        }
        if published.len() == events.len() {
            *open = Some(live);
        }
        published
    }
}
