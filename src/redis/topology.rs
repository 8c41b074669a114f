//! The connections of each topology.

use std::time::Duration;

use redis::{
    Client, Cmd, ConnectionAddr, Pipeline, ProtocolVersion, RedisFuture, RedisResult, Value,
    aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig, MultiplexedConnection},
    cluster::{ClusterClient, ClusterClientBuilder},
    cluster_async::ClusterConnection,
    sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType},
};
use tokio::sync::Mutex;

use super::RedisUrl;

/// How Redis is deployed, and the connection to it.
pub(super) enum Topology {
    /// The connection reconnects by itself.
    Single(ConnectionManager),
    Cluster {
        client: ClusterClient,
        connected: Mutex<Option<ClusterConnection>>,
    },
    /// Connected anew after each error, to whichever server is the primary then.
    Sentinel {
        client: Mutex<SentinelClient>,
        connected: Mutex<Option<MultiplexedConnection>>,
    },
}

/// A connection in any topology.
#[derive(Clone)]
pub(super) enum Connection {
    Single(ConnectionManager),
    Cluster(ClusterConnection),
    Sentinel(MultiplexedConnection),
}

impl Topology {
    /// Prepares the client without connecting.
    pub(super) fn new(url: &RedisUrl, timeout: Duration) -> RedisResult<Self> {
        Ok(match url {
            RedisUrl::Single(url) => Self::Single(manager(url, timeout)?),
            RedisUrl::Cluster(nodes) => Self::Cluster {
                client: ClusterClientBuilder::new(nodes.iter().map(String::as_str))
                    .connection_timeout(timeout)
                    .response_timeout(timeout)
                    .retries(2)
                    .build()?,
                connected: Mutex::default(),
            },
            RedisUrl::Sentinel { nodes, master, database, credentials } => {
                let nodes = nodes.iter().map(|(host, port)| ConnectionAddr::Tcp(host.clone(), *port));
                let mut builder = SentinelClientBuilder::new(nodes, master, SentinelServerType::Master)?
                    .set_client_to_redis_db(*database)
                    .set_client_to_redis_protocol(ProtocolVersion::RESP3);
                if let Some((user, password)) = credentials {
                    builder = builder.set_client_to_redis_password(password);
                    if !user.is_empty() {
                        builder = builder.set_client_to_redis_username(user);
                    }
                }
                Self::Sentinel { client: Mutex::new(builder.build()?), connected: Mutex::default() }
            }
        })
    }

    pub(super) async fn connection(&self) -> RedisResult<Connection> {
        Ok(match self {
            Self::Single(manager) => Connection::Single(manager.clone()),
            Self::Cluster { client, connected } => {
                let mut connected = connected.lock().await;
                if connected.is_none() {
                    *connected = Some(client.get_async_connection().await?);
                }
                connected.clone().map(Connection::Cluster).expect("just connected")
            }
            Self::Sentinel { client, connected } => {
                let mut connected = connected.lock().await;
                if connected.is_none() {
                    *connected = Some(client.lock().await.get_async_connection().await?);
                }
                connected.clone().map(Connection::Sentinel).expect("just connected")
            }
        })
    }

    /// Drops the connection after an error: the primary may be another server by now.
    pub(super) async fn disconnect(&self) {
        if let Self::Sentinel { connected, .. } = self {
            connected.lock().await.take();
        }
    }
}

fn manager(url: &str, timeout: Duration) -> RedisResult<ConnectionManager> {
    // RESP3 notices a lost connection at once; under RESP2 the next call would fail on it.
    let resp3 = if url.contains("protocol=") {
        url.to_owned()
    } else {
        format!("{url}{}protocol=resp3", if url.contains('?') { '&' } else { '?' })
    };
    let config = ConnectionManagerConfig::new()
        .set_response_timeout(Some(timeout))
        .set_connection_timeout(Some(timeout))
        .set_number_of_retries(1)
        .set_min_delay(Duration::from_millis(50))
        .set_max_delay(Duration::from_millis(200))
        .set_pipeline_buffer_size(1024);
    ConnectionManager::new_lazy_with_config(Client::open(resp3)?, config)
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Single(connection) => connection.req_packed_command(cmd),
            Self::Cluster(connection) => connection.req_packed_command(cmd),
            Self::Sentinel(connection) => connection.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Single(connection) => connection.req_packed_commands(pipeline, offset, count),
            Self::Cluster(connection) => connection.req_packed_commands(pipeline, offset, count),
            Self::Sentinel(connection) => connection.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Single(connection) => connection.get_db(),
            Self::Cluster(connection) => connection.get_db(),
            Self::Sentinel(connection) => connection.get_db(),
        }
    }
}
