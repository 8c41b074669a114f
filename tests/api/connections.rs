//! Clients that are slow, silent or gone.

use std::time::Duration;

use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::support::{Backend, Options, TestApp, app::record_answer};

stories!(
    without a pooler:
    a_silent_or_slow_connection_is_closed,
    a_slow_body_is_408,
    at_the_bound_of_connections_others_wait,
    a_request_is_finished_though_its_client_has_gone,
    odd_requests_are_no_5xx,
    a_request_names_one_host,
    a_client_that_shuts_its_side_gets_the_response,
    the_refusal_of_a_long_body_is_read,
    those_who_never_read_lose_their_connections,
    an_idle_connection_gives_way,
    the_private_listener_answers_whatever_the_public_one_does,
);

const PATIENCE: Duration = Duration::from_secs(4);

async fn impatient(backend: Backend) -> TestApp {
    let options = Options::default()
        .with("ENROLL__SERVER__HEADER_TIMEOUT", 1)
        .with("ENROLL__SERVER__REQUEST_TIMEOUT", 1)
        .with("ENROLL__SERVER__MAX_CONNECTIONS", 10);
    TestApp::with(backend, options).await
}

async fn connect(app: &TestApp) -> TcpStream {
    TcpStream::connect(app.application.address).await.unwrap()
}

/// Sends, and reads until the server closes.
async fn exchange(app: &TestApp, bytes: &[u8]) -> String {
    let mut stream = connect(app).await;
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("the server closes the connection").unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

async fn a_silent_or_slow_connection_is_closed(backend: Backend) {
    let app = impatient(backend).await;
    for sent in ["", "P", "PRI * HTTP/2.0\r\n\r\nSM", "GET /livez HTTP/1.1\r\nhost: x\r\nx-slow: "] {
        exchange(&app, sent.as_bytes()).await;
    }
}

async fn a_slow_body_is_408(backend: Backend) {
    let app = impatient(backend).await;
    let head = "POST /api/v1/auth/register HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    let mut stream = connect(&app).await;
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4_096];
    let length = timeout(PATIENCE, stream.read(&mut answer)).await.unwrap().unwrap();
    let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("request_timeout"), "{answer}");
    record_answer("POST".into(), "/api/v1/auth/register".into(), 408, "request_timeout");
}

async fn at_the_bound_of_connections_others_wait(backend: Backend) {
    let app = impatient(backend).await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(connect(&app).await);
    }
    let answer = timeout(PATIENCE, app.get("/livez")).await.expect("the silent ones are closed, and make room");
    answer.is(200);
}

async fn a_request_is_finished_though_its_client_has_gone(backend: Backend) {
    // A hash that takes a while, so that the client is gone before its end.
    let app = TestApp::with(backend, Options::default().with("ENROLL__PASSWORDS__MEMORY_KIB", 65_536)).await;
    let body = json!({"mobile": "9876543210", "password": "correct horse"}).to_string();
    let head = "POST /api/v1/auth/register HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
    let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    let mut stream = connect(&app).await;
    stream.write_all(request.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    drop(stream);
    let arrived = async {
        while app.application.inbox.as_ref().unwrap().messages(Some("+919876543210")).is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(10), arrived).await.expect("the code was sent all the same");
}

async fn odd_requests_are_no_5xx(backend: Backend) {
    let app = impatient(backend).await;
    let huge = format!("GET /livez HTTP/1.1\r\nhost: x\r\nx-huge: {}\r\n\r\n", "h".repeat(40_000));
    let many = format!("GET /livez HTTP/1.1\r\nhost: x\r\n{}\r\n", "x-many: 1\r\n".repeat(200));
    for odd in [
        "GARBAGE\r\n\r\n",
        "GET /livez HTTP/9.9\r\nhost: x\r\n\r\n",
        "POST /api/v1/auth/register HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n{}",
        "POST /api/v1/auth/register HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        "TRACE /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        "GET /api/v1/auth/verifications/%00%ff HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        "GET /api/v1/users/me HTTP/1.1\r\nhost: x\r\nauthorization: Bearer \u{ff}\u{0}\r\nconnection: close\r\n\r\n",
        &huge,
        &many,
    ] {
        let answer = exchange(&app, odd.as_bytes()).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{odd:.60}: {answer}");
    }
}

async fn a_request_names_one_host(backend: Backend) {
    let app = impatient(backend).await;
    for (head, status) in [
        ("GET /livez HTTP/1.1\r\nconnection: close\r\n\r\n", 400),
        ("GET /livez HTTP/1.1\r\nhost: a\r\nhost: b\r\nconnection: close\r\n\r\n", 400),
        ("GET /livez HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", 200),
        ("GET /livez HTTP/1.0\r\n\r\n", 200),
    ] {
        let answer = exchange(&app, head.as_bytes()).await;
        assert!(answer.split(' ').nth(1) == Some(&status.to_string()), "{head}: {answer}");
    }
}

async fn a_client_that_shuts_its_side_gets_the_response(backend: Backend) {
    let app = impatient(backend).await;
    let body = json!({"mobile": "9876543210", "password": "correct horse"}).to_string();
    let request = format!(
        "POST /api/v1/auth/register HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = connect(&app).await;
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 202"), "{}", String::from_utf8_lossy(&answer));
}

/// The client sends all of its body before it reads.
async fn the_refusal_of_a_long_body_is_read(backend: Backend) {
    let app = impatient(backend).await;
    let head = "POST /api/v1/auth/register HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n";
    let long = "n".repeat(600_000);
    let declared = format!("{head}content-length: {}\r\n\r\n{long}", long.len());
    let chunked = format!("{head}transfer-encoding: chunked\r\n\r\n{:x}\r\n{long}\r\n0\r\n\r\n", long.len());
    for request in [declared, chunked] {
        for _ in 0..5 {
            let answer = exchange(&app, request.as_bytes()).await;
            assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("body_too_large"), "{answer}");
        }
    }
}

/// Sends many requests, and reads no answer.
async fn never_read(app: &TestApp) -> TcpStream {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut stream = socket.connect(app.application.address).await.unwrap();
    let requests = "GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n".repeat(150);
    let _ = timeout(Duration::from_secs(1), stream.write_all(requests.as_bytes())).await;
    stream
}

async fn those_who_never_read_lose_their_connections(backend: Backend) {
    let app = impatient(backend).await;
    let mut stalled = Vec::new();
    for _ in 0..10 {
        stalled.push(never_read(&app).await);
    }
    timeout(PATIENCE, app.get("/livez")).await.expect("their places are free again").is(200);
}

async fn an_idle_connection_gives_way(backend: Backend) {
    let options = Options::default().with("ENROLL__SERVER__MAX_CONNECTIONS", 10);
    let app = TestApp::with(backend, options).await;
    let mut idle = Vec::new();
    for _ in 0..10 {
        let mut stream = connect(&app).await;
        stream.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut answer = [0; 1_024];
        assert!(stream.read(&mut answer).await.unwrap() > 0);
        idle.push(stream);
    }
    timeout(Duration::from_secs(2), app.get("/livez")).await.expect("one of the idle ones gave way").is(200);
    let mut rest = Vec::new();
    timeout(PATIENCE, idle[0].read_to_end(&mut rest)).await.expect("the longest idle one").unwrap();
}

async fn the_private_listener_answers_whatever_the_public_one_does(backend: Backend) {
    let private = format!("127.0.0.1:{}", crate::support::servers::free_port());
    let options = Options::default()
        .with("ENROLL__SERVER__MAX_CONNECTIONS", 1)
        .with("ENROLL__ADMIN__ADDRESS", &private);
    let app = TestApp::with(backend, options).await;
    let _stalled = never_read(&app).await;
    for path in ["/livez", "/readyz"] {
        let answer = timeout(Duration::from_secs(1), app.http.get(format!("http://{private}{path}")).send()).await;
        assert_eq!(answer.expect("at once").unwrap().status(), 200);
    }
    let other = app.http.get(format!("http://{private}/api/v1/users/me")).send().await.unwrap();
    assert_eq!(other.status(), 404, "nothing else is there");
}
