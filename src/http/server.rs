use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body, http::Request};
use hyper::{body::Incoming, server::conn::http1::Builder};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use ipnet::IpNet;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
};
use tower::ServiceExt as _;

use super::extract::client_ip::Peer;

#[derive(Debug, Clone)]
pub struct ServerSettings {
    pub address: SocketAddr,
    pub public_url: String,
    /// It was set, so that others can be told of it.
    pub public_url_given: bool,
    pub prefixes: Vec<String>,
    /// Where the API is mounted speaking camelCase.
    pub camel_prefixes: Vec<String>,
    pub single_node: bool,
    /// Whose word on a client's address is taken.
    pub trusted_proxies: Vec<IpNet>,
    pub address_header: AddressHeader,
    pub cors_origins: Vec<String>,
    pub request_timeout: Duration,
    pub header_timeout: Duration,
    pub max_connections: usize,
}

/// The one header that a trusted proxy tells a client's address in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressHeader {
    XForwardedFor,
    /// RFC 7239
    Forwarded,
}

#[derive(Debug, Clone, Copy)]
pub struct ServerLimits {
    pub header_timeout: Duration,
    pub max_connections: usize,
}

/// Accepts connections until told to stop, then lets what runs finish.
pub struct HttpServer {
    pub listener: TcpListener,
    pub router: Router,
    pub limits: ServerLimits,
}

/// Longer header blocks are 431 (hyper's own default is 400 KiB).
const LONGEST_HEADERS: usize = 16 * 1024;
const MOST_HEADERS: usize = 100;

impl HttpServer {
    /// Runs until `stop` turns true, and then `grace` at most.
    pub async fn run(self, mut stop: watch::Receiver<bool>, grace: Duration) {
        let graceful = GracefulShutdown::new();
        let permits = Arc::new(Semaphore::new(self.limits.max_connections));
        let builder = self.builder();
        while !*stop.borrow() {
            let accepting = async {
                // Past the bound, connections wait in the kernel's queue.
                let permit = Arc::clone(&permits).acquire_owned().await.expect("nobody closes the semaphore");
                (permit, self.listener.accept().await)
            };
            let (permit, accepted) = tokio::select! {
                accepted = accepting => accepted,
                _ = stop.changed() => continue,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await; // out of file descriptors, likely
                    continue;
                }
            };
            let connection = builder.serve_connection(Self::io(stream), self.service(peer));
            let watched = graceful.watch(connection);
            tokio::spawn(async move {
                if let Err(error) = watched.await {
                    tracing::debug!(%error, "a connection ended early");
                }
                drop(permit);
            });
        }
        drop(self.listener); // no more are accepted
        if tokio::time::timeout(grace, graceful.shutdown()).await.is_err() {
            tracing::warn!("some requests did not finish in time");
        }
    }

    /// HTTP/1.1 alone: what speaks HTTP/2 to clients is the proxy before it, and one protocol's
    /// time-outs are easier to get right. The header's runs from the connection's first moment on.
    fn builder(&self) -> Builder {
        let mut builder = Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.header_timeout)
            .max_buf_size(LONGEST_HEADERS)
            .max_headers(MOST_HEADERS);
        builder
    }

    fn io(stream: TcpStream) -> TokioIo<TcpStream> {
        // Answers are single small packets: waiting to fill one only delays them.
        let _ = stream.set_nodelay(true);
        TokioIo::new(stream)
    }

    fn service(&self, peer: SocketAddr) -> TowerToHyperService<impl Handler> {
        let router = self.router.clone();
        TowerToHyperService::new(tower::service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(Peer(peer));
            router.clone().oneshot(request.map(Body::new))
        }))
    }
}

/// What hyper asks of a service.
trait Handler:
    tower::Service<
        Request<Incoming>,
        Response = axum::response::Response,
        Error = std::convert::Infallible,
        Future: Send + 'static,
    > + Clone
    + Send
    + 'static
{
}

impl<S> Handler for S where
    S: tower::Service<
            Request<Incoming>,
            Response = axum::response::Response,
            Error = std::convert::Infallible,
            Future: Send + 'static,
        > + Clone
        + Send
        + 'static
{
}
