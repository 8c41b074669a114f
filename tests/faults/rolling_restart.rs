//! Nodes restarted one after the other behind a proxy: no client notices.

use std::{
    fs,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    healing::becomes,
    support::{
        Backend,
        process::{Node, Sandbox},
        servers::{ProcessGroup, free_port, wait_for_port},
    },
};

/// HAProxy before these nodes; it looks at `/readyz` each second.
struct Proxy {
    port: u16,
    _process: ProcessGroup,
    _dir: tempfile::TempDir,
}

impl Proxy {
    fn before(nodes: &[&Node]) -> Self {
        let (port, dir, mut process) = (free_port(), tempfile::tempdir().unwrap(), ProcessGroup::default());
        let servers = nodes.iter().enumerate().map(|(n, node)| {
            let address = node.base.trim_start_matches("http://");
            format!("  server node{n} {address} check inter 1s fall 1 rise 1\n")
        });
        let settings = format!(
            "defaults\n  mode http\n  timeout connect 1s\n  timeout client 30s\n  timeout server 30s\n  option redispatch\n\
             frontend public\n  bind 127.0.0.1:{port}\n  option forwardfor\n  default_backend nodes\n\
             backend nodes\n  balance roundrobin\n  option httpchk GET /readyz HTTP/1.1\\r\\nhost:\\ x\n{}",
            servers.collect::<String>()
        );
        let file = dir.path().join("haproxy.cfg");
        fs::write(&file, settings).unwrap();
        process.start(Command::new("/usr/sbin/haproxy").arg("-db").arg("-f").arg(file));
        wait_for_port(port);
        Self { port, _process: process, _dir: dir }
    }
}

/// A client that keeps its connection, and registers until told to stop; the answers that were no 202.
async fn register_on_and_on(base: String, client: u32, stop: Arc<AtomicBool>, count: Arc<AtomicU32>) -> Vec<String> {
    let http = reqwest::Client::builder().timeout(Duration::from_secs(20)).build().unwrap();
    let mut failed = Vec::new();
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let body = json!({"mobile": format!("+9198{client:02}{n:06}"), "password": "correct horse"});
        let answer = http.post(format!("{base}/api/v1/auth/register")).json(&body).send().await;
        count.fetch_add(1, Ordering::Relaxed);
        match answer {
            Ok(answer) if answer.status() == 202 => {}
            Ok(answer) => failed.push(format!("{} {:?}", answer.status(), answer.text().await)),
            Err(error) => failed.push(format!("{error:?}")),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    failed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_answers_no_request_with_an_error_fleet() {
    let sandbox = Sandbox::new(Backend::Fleet).await;
    let node = || sandbox.node().unlimited().set("ENROLL__SERVER__DRAIN", "2").set("RUST_LOG", "info");
    let (mut one, mut other) = (node(), node());
    one.start();
    other.start();
    becomes(&one, true).await;
    becomes(&other, true).await;
    let proxy = Proxy::before(&[&one, &other]);
    let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let base = format!("http://127.0.0.1:{}", proxy.port);
    let clients: Vec<_> = (0..8)
        .map(|client| tokio::spawn(register_on_and_on(base.clone(), client, Arc::clone(&stop), Arc::clone(&count))))
        .collect();
    for node in [&mut one, &mut other] {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (took, code) = tokio::task::block_in_place(|| node.terminate());
        assert!(code == Some(0) && took >= Duration::from_secs(2), "{code:?} {took:?}");
        node.start();
        becomes(node, true).await;
        tokio::time::sleep(Duration::from_secs(2)).await; // the proxy has seen it
    }
    stop.store(true, Ordering::Relaxed);
    let mut failed = Vec::new();
    for client in clients {
        failed.extend(client.await.unwrap());
    }
    assert_eq!(failed, Vec::<String>::new());
    assert!(count.load(Ordering::Relaxed) > 500, "there was a load: {count:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_draining_node_answers_and_closes_each_connection() {
    let sandbox = Sandbox::new(Backend::Embedded).await;
    let mut node = sandbox.node().set("ENROLL__SERVER__DRAIN", "3");
    node.start();
    let http = reqwest::Client::builder().timeout(Duration::from_secs(5)).build().unwrap();
    let get = async |path: &str| http.get(format!("{}{path}", node.base)).send().await.unwrap();
    assert_eq!(get("/livez").await.headers().get("connection"), None);
    crate::support::servers::signal("TERM", node.pid());
    let started = Instant::now();
    while get("/readyz").await.status() != 503 {
        assert!(started.elapsed() < Duration::from_secs(1), "it says at once that it stops");
    }
    let answer = get("/api/v1/users/me").await;
    assert_eq!(answer.headers()["connection"], "close");
    assert_eq!(answer.status(), 401, "it still answers");
}
