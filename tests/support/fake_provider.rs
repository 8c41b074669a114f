//! A provider's server: it takes down what it is sent, and answers as it is told to.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse as _, Response},
};
use tokio::{net::TcpListener, task::JoinHandle};

/// A request that came.
#[derive(Debug, Clone)]
pub struct Received {
    pub path: String,
    pub headers: HeaderMap,
    pub body: String,
    pub bytes: Bytes,
    pub at: Instant,
}

/// How it answers.
#[derive(Debug, Clone)]
pub enum Answers {
    With(u16, &'static str),
    RetryAfter(u16, u64),
    /// 503 to bodies in which this stands, and 204 to others.
    RefuseNaming(String),
    Never,
    /// As it is told next.
    Later,
}

pub struct Gateway {
    pub url: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    received: Mutex<Vec<Received>>,
    answers: Mutex<Answers>,
}

impl Gateway {
    pub async fn start(answers: Answers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared { received: Mutex::default(), answers: Mutex::new(answers) });
        let router = Router::new().fallback(take_down).with_state(Arc::clone(&shared));
        let task = tokio::spawn(async move { axum_serve(listener, router).await });
        Self { url, shared, task }
    }

    pub fn answer(&self, answers: Answers) {
        *self.shared.answers.lock().unwrap() = answers;
    }

    pub fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    /// The requests that came, once there are so many.
    pub async fn wait_for(&self, count: usize) -> Vec<Received> {
        let started = Instant::now();
        loop {
            let received = self.received();
            if received.len() >= count {
                return received;
            }
            assert!(started.elapsed() < Duration::from_secs(20), "{} of {count} came", received.len());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn axum_serve(listener: TcpListener, router: Router) {
    let service = hyper_util::service::TowerToHyperService::new(router);
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let service = service.clone();
        tokio::spawn(async move {
            let io = hyper_util::rt::TokioIo::new(stream);
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
        });
    }
}

async fn take_down(State(shared): State<Arc<Shared>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let (path, text) = (uri.to_string(), String::from_utf8_lossy(&body).into_owned());
    let received = Received { path, headers, body: text.clone(), bytes: body, at: Instant::now() };
    shared.received.lock().unwrap().push(received);
    let answers = loop {
        let answers = shared.answers.lock().unwrap().clone();
        if !matches!(answers, Answers::Later) {
            break answers;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    match answers {
        Answers::Later => unreachable!("the loop waits for another"),
        Answers::With(status, body) => (StatusCode::from_u16(status).unwrap(), body).into_response(),
        Answers::RetryAfter(status, seconds) => {
            (StatusCode::from_u16(status).unwrap(), [("retry-after", seconds.to_string())], "").into_response()
        }
        Answers::RefuseNaming(name) => {
            (if text.contains(&name) { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::NO_CONTENT }).into_response()
        }
        Answers::Never => std::future::pending().await,
    }
}
