//! Accepting connections.

use std::{convert::Infallible, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{HeaderValue, Request, header},
    response::Response,
};
use hyper::{body::Incoming, server::conn::http1::Builder};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use ipnet::IpNet;
use rustix::process::{Resource, getrlimit, setrlimit};
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio_io_timeout::TimeoutStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::{ServiceExt as _, util::BoxCloneService};

use super::{
    extract::client_ip::Peer,
    gotrue,
    places::{Place, Places},
};

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
    /// Where GoTrue's clients find what they know.
    pub gotrue_prefix: Option<String>,
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
    /// The time between reporting not ready and accepting no more connections.
    pub drain: Duration,
    /// The log shows the networks of clients, not their addresses.
    pub log_networks: bool,
    /// The built-in page's accent color, as `#rrggbb`; `None`: there is no page.
    pub page_accent: Option<String>,
    /// The private listener, if there is one.
    pub admin_address: Option<SocketAddr>,
}

impl ServerSettings {
    /// Whether another prefix, or a call, is at GoTrue's prefix or below it.
    pub fn gotrue_prefix_collides(&self) -> bool {
        self.gotrue_prefix.as_deref().is_some_and(|prefix| gotrue::collides(prefix, self))
    }
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
    /// Where it listens.
    pub listener: TcpListener,
    /// The application.
    pub router: Router,
    /// The time limit of a request's headers, and of a write that makes no progress.
    pub header_timeout: Duration,
    /// Connections at once.
    pub max_connections: usize,
    /// Networks that may have all of them.
    pub trusted_proxies: Vec<IpNet>,
    /// Once it is cancelled, each response closes its connection.
    pub draining: CancellationToken,
}

/// Longer header blocks are 431 (hyper's own default is 400 KiB).
const LONGEST_HEADERS: usize = 16 * 1024;
const MOST_HEADERS: usize = 100;
/// Open files that are no connections of clients.
const OTHER_FILES: u64 = 128;

impl HttpServer {
    /// Runs until `stop` is cancelled, and then for `grace` at most.
    pub async fn run(self, stop: CancellationToken, grace: Duration) {
        let open = TaskTracker::new();
        let places = Places::new(allowed_by_open_files(self.max_connections), &self.trusted_proxies);
        let builder = self.builder();
        while !stop.is_cancelled() {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
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
            // Where every place is taken, the others wait in the kernel's queue.
            let place = tokio::select! {
                place = places.take(peer.ip(), &stop) => place,
                () = stop.cancelled() => continue,
            };
            let Some(place) = place else {
                tracing::debug!(%peer, "a network has its share of connections");
                continue;
            };
            let service = self.service(peer, Arc::clone(&place));
            // Boxed here: a task that boxed it would keep room for it as well.
            let mut connection = Box::pin(builder.serve_connection(self.io(stream), service));
            open.spawn(async move {
                let ended = tokio::select! {
                    ended = connection.as_mut() => ended,
                    () = place.close.cancelled() => {
                        connection.as_mut().graceful_shutdown();
                        connection.await
                    }
                };
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended early");
                }
            });
        }
        drop(self.listener); // no more are accepted
        open.close();
        if tokio::time::timeout(grace, open.wait()).await.is_err() {
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

    /// A client that reads nothing more loses its connection, whether or not its machine still answers.
    fn io(&self, stream: TcpStream) -> TokioIo<Pin<Box<TimeoutStream<TcpStream>>>> {
        // Responses are single small packets: waiting to fill one only delays them.
        let _ = stream.set_nodelay(true);
        let _ = SockRef::from(&stream).set_tcp_user_timeout(Some(self.header_timeout));
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(self.header_timeout));
        TokioIo::new(Box::pin(stream))
    }

    fn service(
        &self,
        peer: SocketAddr,
        place: Arc<Place>,
    ) -> TowerToHyperService<BoxCloneService<Request<Incoming>, Response, Infallible>> {
        let (router, draining) = (self.router.clone(), self.draining.clone());
        TowerToHyperService::new(BoxCloneService::new(tower::service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(Peer(peer));
            let (router, draining, running) = (router.clone(), draining.clone(), place.run());
            async move {
                let mut response = router.oneshot(request.map(Body::new)).await?;
                if draining.is_cancelled() {
                    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                drop(running);
                Ok(response)
            }
        })))
    }
}

/// Raises the soft limit of open files to the hard one, and keeps connections below it.
fn allowed_by_open_files(connections: usize) -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit); // the old one is the limit then
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let allowed = usize::try_from(files.saturating_sub(OTHER_FILES).max(1)).unwrap_or(usize::MAX);
    if connections > allowed {
        tracing::warn!(allowed, files, "ENROLL__SERVER__MAX_CONNECTIONS is over the limit of open files");
    }
    connections.min(allowed)
}
