//! The connections of each topology.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use redis::{
    Client, Cmd, ConnectionAddr, IntoConnectionInfo as _, Pipeline, ProtocolVersion, RedisFuture, RedisResult, Value,
    aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig, MultiplexedConnection},
    cluster::{ClusterClient, ClusterClientBuilder},
    cluster_async::ClusterConnection,
    io::tcp::TcpSettings,
    sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType},
};
use tokio::sync::Mutex;

use super::RedisUrl;

/// How Redis is deployed, and the connection to it. After an error it is replaced, whatever the topology: its server
/// may be a replica by now, or may never answer again.
pub(super) struct Topology {
    client: Connector,
    timeout: Duration,
    /// Never held while something is waited for: what a call found broken goes at once.
    connected: std::sync::Mutex<Option<(Connection, u64)>>,
    connecting: Mutex<()>,
    /// The number of the next connection.
    next: AtomicU64,
}

enum Connector {
    Single(Box<Client>),
    Cluster(Box<ClusterClient>),
    Sentinel(Box<Mutex<SentinelClient>>),
}

/// A connection in any topology.
#[derive(Clone)]
pub(super) enum Connection {
    /// Reconnects by itself when it is closed.
    Single(ConnectionManager),
    Cluster(ClusterConnection),
    Sentinel(MultiplexedConnection),
}

impl Topology {
    /// Prepares the client without connecting.
    pub(super) fn new(url: &RedisUrl, timeout: Duration) -> RedisResult<Self> {
        // Many callers share a connection: the command of one must not wait for the answer to another's (Nagle).
        let tcp = TcpSettings::default().set_nodelay(true);
        let client = match url {
            RedisUrl::Single(url) => {
                let server = with_resp3(url).into_connection_info()?.set_tcp_settings(tcp);
                Connector::Single(Box::new(Client::open(server)?))
            }
            RedisUrl::Cluster(nodes) => Connector::Cluster(Box::new(
                ClusterClientBuilder::new(nodes.iter().map(String::as_str))
                    .connection_timeout(timeout)
                    .response_timeout(timeout)
                    .retries(2)
                    .tcp_settings(tcp)
                    .build()?,
            )),
            RedisUrl::Sentinel { nodes, master, database, credentials } => {
                let nodes = nodes.iter().map(|(host, port)| ConnectionAddr::Tcp(host.clone(), *port));
                let mut builder = SentinelClientBuilder::new(nodes, master, SentinelServerType::Master)?
                    .set_client_to_redis_tcp_settings(tcp)
                    .set_client_to_redis_db(*database)
                    .set_client_to_redis_protocol(ProtocolVersion::RESP3);
                if let Some((user, password)) = credentials {
                    builder = builder.set_client_to_redis_password(password);
                    if !user.is_empty() {
                        builder = builder.set_client_to_redis_username(user);
                    }
                }
                Connector::Sentinel(Box::new(Mutex::new(builder.build()?)))
            }
        };
        Ok(Self {
            client,
            timeout,
            connected: std::sync::Mutex::default(),
            connecting: Mutex::default(),
            next: AtomicU64::new(0),
        })
    }

    pub(super) fn is_cluster(&self) -> bool {
        matches!(self.client, Connector::Cluster(_))
    }

    /// The connection, and its number.
    pub(super) async fn connection(&self) -> RedisResult<(Connection, u64)> {
        if let Some(current) = self.current().clone() {
            return Ok(current);
        }
        let _one_at_a_time = self.connecting.lock().await;
        if let Some(current) = self.current().clone() {
            return Ok(current);
        }
        let connection = match &self.client {
            Connector::Single(client) => Connection::Single(manager(client, self.timeout)?),
            Connector::Cluster(client) => Connection::Cluster(client.get_async_connection().await?),
            Connector::Sentinel(client) => Connection::Sentinel(client.lock().await.get_async_connection().await?),
        };
        let new = (connection, self.next.fetch_add(1, Ordering::Relaxed));
        *self.current() = Some(new.clone());
        Ok(new)
    }

    /// Uses the connection of this number no more.
    pub(super) fn discard(&self, number: u64) {
        self.current().take_if(|(_, current)| *current == number);
    }

    fn current(&self) -> std::sync::MutexGuard<'_, Option<(Connection, u64)>> {
        self.connected.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// RESP3 notices a lost connection at once; under RESP2 the next call would fail on it.
fn with_resp3(url: &str) -> String {
    if url.contains("protocol=") {
        return url.to_owned();
    }
    format!("{url}{}protocol=resp3", if url.contains('?') { '&' } else { '?' })
}

fn manager(client: &Client, timeout: Duration) -> RedisResult<ConnectionManager> {
    let config = ConnectionManagerConfig::new()
        .set_response_timeout(Some(timeout))
        .set_connection_timeout(Some(timeout))
        .set_number_of_retries(1)
        .set_min_delay(Duration::from_millis(50))
        .set_max_delay(Duration::from_millis(200))
        .set_pipeline_buffer_size(1024);
    ConnectionManager::new_lazy_with_config(client.clone(), config)
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
