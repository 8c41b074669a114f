//! Accepting connections.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body, http::Request, response::Response};
use hyper::{body::Incoming, server::conn::http1::Builder};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use ipnet::IpNet;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::sync::CancellationToken;
use tower::{ServiceExt as _, util::BoxCloneService};

use super::extract::client_ip::Peer;

/// The settings of HTTP.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// The public listener.
    pub address: SocketAddr,
    /// The URL by which clients and providers reach it.
    pub public_url: String,
    /// Whether the URL was set, so that it can be given to others.
    pub public_url_is_set: bool,
    /// Where the API is mounted.
    pub prefixes: Vec<String>,
    /// Where the API is mounted in camelCase.
    pub camel_prefixes: Vec<String>,
    /// Whether this is the only node on its database.
    pub single_node: bool,
    /// The networks of proxies whose header is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The header in which they report the client's IP address.
    pub client_ip_header: ClientIpHeader,
    /// The origins that may call from a browser.
    pub cors_origins: Vec<String>,
    /// The time limit of a request.
    pub request_timeout: Duration,
    /// The time limit of a request's headers.
    pub header_timeout: Duration,
    /// Connections at once.
    pub max_connections: usize,
}

/// The header in which a trusted proxy reports the client's IP address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientIpHeader {
    /// `X-Forwarded-For`
    XForwardedFor,
    /// `Forwarded` (RFC 7239)
    Forwarded,
}

/// Accepts connections until told to stop, then lets running requests finish.
pub struct HttpServer {
    /// The public listener.
    pub listener: TcpListener,
    /// The application.
    pub router: Router,
    /// The time limit of a request's headers.
    pub header_timeout: Duration,
    /// Connections at once.
    pub max_connections: usize,
}

/// Longer header blocks are 431 (hyper's own default is 400 KiB).
const LONGEST_HEADERS: usize = 16 * 1024;
const MOST_HEADERS: usize = 100;

impl HttpServer {
    /// Runs until `stop` is cancelled, and then for `grace` at most.
    pub async fn run(self, stop: CancellationToken, grace: Duration) {
        let graceful = GracefulShutdown::new();
        let permits = Arc::new(Semaphore::new(self.max_connections));
        let builder = self.builder();
        while !stop.is_cancelled() {
            let accepting = async {
                // Beyond the bound, connections wait in the kernel's queue.
                let permit = Arc::clone(&permits).acquire_owned().await.expect("nobody closes the semaphore");
                (permit, self.listener.accept().await)
            };
            let (permit, accepted) = tokio::select! {
                accepted = accepting => accepted,
                () = stop.cancelled() => continue,
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

    /// HTTP/1.1 only: the proxy in front speaks HTTP/2 to clients, and the time-outs of one protocol are easier to
    /// get right. That of the headers runs from the connection's first moment.
    fn builder(&self) -> Builder {
        let mut builder = Builder::new();
        builder
            .timer(TokioTimer::new())
            .half_close(true) // a client that has sent all may shut its side down, and still wants the response
            .header_read_timeout(self.header_timeout)
            .max_buf_size(LONGEST_HEADERS)
            .max_headers(MOST_HEADERS);
        builder
    }

    fn io(stream: TcpStream) -> TokioIo<TcpStream> {
        // Responses are single small packets: waiting to fill one only delays them.
        let _ = stream.set_nodelay(true);
        TokioIo::new(stream)
    }

    fn service(
        &self,
        peer: SocketAddr,
    ) -> TowerToHyperService<BoxCloneService<Request<Incoming>, Response, Infallible>> {
        let router = self.router.clone();
        TowerToHyperService::new(BoxCloneService::new(tower::service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(Peer(peer));
            router.clone().oneshot(request.map(Body::new))
        })))
    }
}
