use std::time::Duration;

use redis::{
    Client, Cmd, ConnectionAddr, Pipeline, ProtocolVersion, RedisFuture, RedisResult, Value,
    aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig, MultiplexedConnection},
    cluster::{ClusterClient, ClusterClientBuilder},
    cluster_async::ClusterConnection,
    sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType},
};
use tokio::sync::Mutex;

use super::RedisAddress;

/// How connections are made and kept.
pub(super) enum Way {
    /// It mends itself.
    Single(ConnectionManager),
    Cluster {
        client: ClusterClient,
        made: Mutex<Option<ClusterConnection>>,
    },
    /// Made anew, to whichever server is the master then, after each error.
    Sentinel {
        client: Mutex<SentinelClient>,
        made: Mutex<Option<MultiplexedConnection>>,
    },
}

/// A connection by any of the ways.
#[derive(Clone)]
pub(super) enum Connection {
    Single(ConnectionManager),
    Cluster(ClusterConnection),
    Sentinel(MultiplexedConnection),
}

impl Way {
    /// Prepares connections without making any.
    pub(super) fn new(address: &RedisAddress, timeout: Duration) -> RedisResult<Self> {
        Ok(match address {
            RedisAddress::Single(url) => Self::Single(manager(url, timeout)?),
            RedisAddress::Cluster(nodes) => Self::Cluster {
                client: ClusterClientBuilder::new(nodes.iter().map(String::as_str))
                    .connection_timeout(timeout)
                    .response_timeout(timeout)
                    .retries(2)
                    .build()?,
                made: Mutex::default(),
            },
            RedisAddress::Sentinel { nodes, master, database, credentials } => {
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
                Self::Sentinel { client: Mutex::new(builder.build()?), made: Mutex::default() }
            }
        })
    }

    pub(super) async fn connection(&self) -> RedisResult<Connection> {
        Ok(match self {
            Self::Single(manager) => Connection::Single(manager.clone()),
            Self::Cluster { client, made } => {
                let mut made = made.lock().await;
                if made.is_none() {
                    *made = Some(client.get_async_connection().await?);
                }
                made.clone().map(Connection::Cluster).expect("it was just made")
            }
            Self::Sentinel { client, made } => {
                let mut made = made.lock().await;
                if made.is_none() {
                    *made = Some(client.lock().await.get_async_connection().await?);
                }
                made.clone().map(Connection::Sentinel).expect("it was just made")
            }
        })
    }

    /// After an error: the master may be another by now.
    pub(super) async fn forget(&self) {
        if let Self::Sentinel { made, .. } = self {
            made.lock().await.take();
        }
    }
}

fn manager(url: &str, timeout: Duration) -> RedisResult<ConnectionManager> {
    // RESP3 notices a lost connection at once; under RESP2 the next call would be its victim.
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
