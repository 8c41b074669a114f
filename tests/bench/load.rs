//! Clients that cost little: the server shares the machine with them.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    ops::Range,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use crate::support::process::Node;

/// A request, written out.
pub struct Request(Vec<u8>);

/// What a load came to.
pub struct Load {
    pub sent: usize,
    pub rate: f64,
    /// The server's CPU time a request.
    pub cpu_ms: f64,
    pub last_body: String,
}

impl Request {
    pub fn post(path: &str, body: &str) -> Self {
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        Self([head.as_bytes(), body.as_bytes()].concat())
    }

    pub fn get(path: &str, token: &str) -> Self {
        Self(format!("GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n").into_bytes())
    }
}

impl Load {
    /// As much as passes in `time`; requests are numbered from `first`.
    pub fn run(
        node: &Node,
        clients: usize,
        time: Duration,
        first: usize,
        expected: u16,
        request: impl Fn(usize) -> Request + Sync,
    ) -> Self {
        let end = Instant::now() + time;
        Self::with(node, clients, first, expected, request, |_| Instant::now() < end)
    }

    /// Just these.
    pub fn exactly(
        node: &Node,
        clients: usize,
        numbers: Range<usize>,
        expected: u16,
        request: impl Fn(usize) -> Request + Sync,
    ) -> Self {
        Self::with(node, clients, numbers.start, expected, request, |number| number < numbers.end)
    }

    fn with(
        node: &Node,
        clients: usize,
        first: usize,
        expected: u16,
        request: impl Fn(usize) -> Request + Sync,
        goes_on: impl Fn(usize) -> bool + Sync,
    ) -> Self {
        let (next, sent) = (AtomicUsize::new(first), AtomicUsize::new(0));
        let last_body = Mutex::new(String::new());
        let (started, cpu) = (Instant::now(), cpu_ms(node.pid()));
        std::thread::scope(|scope| {
            for _ in 0..clients {
                scope.spawn(|| {
                    let mut connection = Connection::open(node);
                    let mut body = String::new();
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if !goes_on(number) {
                            break;
                        }
                        body = connection.call(&request(number), expected);
                        sent.fetch_add(1, Ordering::Relaxed);
                    }
                    if !body.is_empty() {
                        *last_body.lock().unwrap() = body;
                    }
                });
            }
        });
        let (sent, elapsed) = (sent.into_inner(), started.elapsed().as_secs_f64());
        Self {
            sent,
            rate: sent as f64 / elapsed,
            cpu_ms: (cpu_ms(node.pid()) - cpu) / sent as f64,
            last_body: last_body.into_inner().unwrap(),
        }
    }
}

pub fn once(node: &Node, request: &Request, expected: u16) {
    Connection::open(node).call(request, expected);
}

struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    fn open(node: &Node) -> Self {
        let stream = TcpStream::connect(node.base.trim_start_matches("http://")).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    fn call(&mut self, request: &Request, expected: u16) -> String {
        self.stream.get_mut().write_all(&request.0).unwrap();
        let (mut line, mut status, mut length) = (String::new(), 0, 0);
        loop {
            line.clear();
            self.stream.read_line(&mut line).unwrap();
            if line == "\r\n" {
                break;
            }
            if let Some(rest) = line.strip_prefix("HTTP/1.1 ") {
                status = rest[..3].parse().unwrap();
            } else if let Some(rest) = line.strip_prefix("content-length: ") {
                length = rest.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).unwrap();
        let body = String::from_utf8(body).unwrap();
        assert_eq!(status, expected, "{body}");
        body
    }
}

/// User and system time of a process, from `/proc` (100 ticks a second).
fn cpu_ms(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) * 10.0
}
