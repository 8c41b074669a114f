//! Clients that cost little: the server shares the machine with them.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use crate::support::process::Node;

/// A request, written out.
pub struct Request(Vec<u8>);

/// The result of a load.
pub struct Load {
    pub sent: usize,
    pub rate: f64,
    /// The server's CPU time a request.
    pub cpu_ms: f64,
    pub last_body: String,
    /// Each client's.
    pub last_bodies: Vec<String>,
}

impl Request {
    pub fn post(path: &str, body: &str) -> Self {
        Self::with_header(path, body, "accept: */*")
    }

    /// By the session of this token.
    pub fn post_as(token: &str, path: &str, body: &str) -> Self {
        Self::with_header(path, body, &format!("authorization: Bearer {token}"))
    }

    /// By the client that a trusted proxy names.
    pub fn post_from(ip: &str, path: &str, body: &str) -> Self {
        Self::with_header(path, body, &format!("x-forwarded-for: {ip}"))
    }

    fn with_header(path: &str, body: &str, header: &str) -> Self {
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\n{header}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
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
        Self::with(
            node,
            &vec![String::new(); clients],
            first,
            expected,
            |number, _| request(number),
            |_| Instant::now() < end,
        )
    }

    /// Just these.
    pub fn exactly(
        node: &Node,
        clients: usize,
        numbers: Range<usize>,
        expected: u16,
        request: impl Fn(usize) -> Request + Sync,
    ) -> Self {
        let bodies = vec![String::new(); clients];
        let request = |number: usize, _: &str| request(number);
        Self::with(node, &bodies, numbers.start, expected, request, |number| number < numbers.end)
    }

    /// So many; and their answers, in their order.
    pub fn answered(
        node: &Node,
        clients: usize,
        count: usize,
        expected: u16,
        request: impl Fn(usize) -> Request + Sync,
    ) -> (Self, Vec<String>) {
        let answers = Mutex::new(vec![String::new(); count]);
        let step = |connection: &mut Connection, number: usize, _: &str| {
            let answer = connection.call(&request(number), expected);
            answers.lock().unwrap()[number] = answer;
            String::new()
        };
        let load = Self::by(node, &vec![String::new(); clients], 0, step, |number| number < count);
        (load, answers.into_inner().unwrap())
    }

    /// So many stories, so many a second, whether or not the last ones have ended.
    pub fn paced(
        node: &Node,
        clients: usize,
        per_second: f64,
        count: usize,
        story: impl Fn(&mut Connection, usize) + Sync,
    ) -> Paced {
        let (took, started) = (Mutex::new(Vec::with_capacity(count)), Instant::now());
        let step = |connection: &mut Connection, number: usize, _: &str| {
            let due = started + Duration::from_secs_f64(number as f64 / per_second);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            story(connection, number);
            took.lock().unwrap().push(due.elapsed().as_secs_f64() * 1_000.0);
            String::new()
        };
        let load = Self::by(node, &vec![String::new(); clients], 0, step, |number| number < count);
        let mut took = took.into_inner().unwrap();
        took.sort_by(f64::total_cmp);
        Paced { load, p50_ms: took[count / 2], p99_ms: took[count * 99 / 100] }
    }

    /// Each client's request is made from what it was answered last; there are as many as first answers.
    pub fn chained(
        node: &Node,
        first: &[String],
        time: Duration,
        expected: u16,
        request: impl Fn(&str) -> Request + Sync,
    ) -> Self {
        let end = Instant::now() + time;
        Self::with(node, first, 0, expected, |_, last| request(last), |_| Instant::now() < end)
    }

    /// As many stories of several calls as pass in `time`.
    pub fn flows(
        node: &Node,
        clients: usize,
        time: Duration,
        first: usize,
        story: impl Fn(&mut Connection, usize) + Sync,
    ) -> Self {
        let end = Instant::now() + time;
        let step = |connection: &mut Connection, number, _: &str| {
            story(connection, number);
            String::new()
        };
        Self::by(node, &vec![String::new(); clients], first, step, |_| Instant::now() < end)
    }

    fn with(
        node: &Node,
        bodies: &[String],
        first: usize,
        expected: u16,
        request: impl Fn(usize, &str) -> Request + Sync,
        goes_on: impl Fn(usize) -> bool + Sync,
    ) -> Self {
        let step = |connection: &mut Connection, number, last: &str| connection.call(&request(number, last), expected);
        Self::by(node, bodies, first, step, goes_on)
    }

    /// Each client's steps, one after the other, each with what the last one returned.
    fn by(
        node: &Node,
        bodies: &[String],
        first: usize,
        step: impl Fn(&mut Connection, usize, &str) -> String + Sync,
        goes_on: impl Fn(usize) -> bool + Sync,
    ) -> Self {
        let (next, sent) = (AtomicUsize::new(first), AtomicUsize::new(0));
        let last_bodies = Mutex::new(Vec::new());
        let (started, cpu) = (Instant::now(), cpu_ms(node.pid()));
        std::thread::scope(|scope| {
            for body in bodies {
                scope.spawn(|| {
                    let mut connection = Connection::open(node);
                    let mut body = body.clone();
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if !goes_on(number) {
                            break;
                        }
                        body = step(&mut connection, number, &body);
                        sent.fetch_add(1, Ordering::Relaxed);
                    }
                    if !body.is_empty() {
                        last_bodies.lock().unwrap().push(body);
                    }
                });
            }
        });
        let (sent, elapsed) = (sent.into_inner(), started.elapsed().as_secs_f64());
        let last_bodies = last_bodies.into_inner().unwrap();
        Self {
            sent,
            rate: sent as f64 / elapsed,
            cpu_ms: (cpu_ms(node.pid()) - cpu) / sent as f64,
            last_body: last_bodies.last().cloned().unwrap_or_default(),
            last_bodies,
        }
    }
}

/// The result of a paced load: how long a story took, counted from when it was due.
pub struct Paced {
    pub load: Load,
    pub p50_ms: f64,
    pub p99_ms: f64,
}

pub fn once(node: &Node, request: &Request, expected: u16) -> String {
    Connection::open(node).call(request, expected)
}

/// How long each of two requests takes, in milliseconds, asked in turn so many times: the medians.
pub fn in_turn(node: &Node, times: usize, expected: u16, requests: [impl Fn(usize) -> Request; 2]) -> [f64; 2] {
    let mut connection = Connection::open(node);
    let mut took = [Vec::new(), Vec::new()];
    for number in 0..times {
        for (request, took) in requests.iter().zip(&mut took) {
            let request = request(number);
            let started = Instant::now();
            connection.call(&request, expected);
            took.push(started.elapsed().as_secs_f64() * 1_000.0);
            std::thread::sleep(Duration::from_millis(5)); // what the one left to do is not the other's
        }
    }
    took.map(|mut took| {
        took.sort_by(f64::total_cmp);
        took[took.len() / 2]
    })
}

/// The milliseconds that calls take, one after the other: the median, and that of the slowest in a hundred.
pub fn one_by_one(node: &Node, times: usize, expected: u16, request: &Request) -> [f64; 2] {
    let mut connection = Connection::open(node);
    let mut took: Vec<f64> = (0..times)
        .map(|_| {
            let started = Instant::now();
            connection.call(request, expected);
            started.elapsed().as_secs_f64() * 1_000.0
        })
        .collect();
    took.sort_by(f64::total_cmp);
    [took[times / 2], took[times * 99 / 100]]
}

/// Clients that ask the same again and again, whatever they are answered.
pub struct Flood {
    is_over: Arc<AtomicBool>,
    clients: Vec<JoinHandle<[usize; 2]>>,
}

/// A client that is told that there is no room asks again after so long.
const PAUSE: Duration = Duration::from_millis(50);

impl Flood {
    pub fn begin(node: &Node, clients: usize, request: &Request) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let client = |mut connection: Connection| {
            let (is_over, request) = (Arc::clone(&is_over), request.0.clone());
            move || {
                let [mut hashed, mut refused] = [0, 0];
                while !is_over.load(Ordering::Relaxed) {
                    connection.stream.get_mut().write_all(&request).unwrap();
                    if connection.any_answer().0 == 503 {
                        refused += 1;
                        std::thread::sleep(PAUSE);
                    } else {
                        hashed += 1;
                    }
                }
                [hashed, refused]
            }
        };
        let clients = (0..clients).map(|_| std::thread::spawn(client(Connection::open(node)))).collect();
        Self { is_over, clients }
    }

    /// How many were let in, and how many refused for want of room.
    pub fn end(self) -> [usize; 2] {
        self.is_over.store(true, Ordering::Relaxed);
        let counts = self.clients.into_iter().map(|client| client.join().unwrap());
        counts.fold([0, 0], |sum, count| [sum[0] + count[0], sum[1] + count[1]])
    }
}

/// Clients that have asked and wait for their answer.
pub struct Waiting(Vec<Connection>);

impl Waiting {
    pub fn begin(node: &Node, requests: impl Iterator<Item = Request>) -> Self {
        Self(requests.map(|request| Connection::asking(node, &request)).collect())
    }

    /// Once they are answered.
    pub fn end(self, expected: u16) {
        for mut connection in self.0 {
            connection.answer(expected);
        }
    }
}

/// A client's.
pub struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    fn open(node: &Node) -> Self {
        let stream = TcpStream::connect(node.base.trim_start_matches("http://")).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    fn asking(node: &Node, request: &Request) -> Self {
        let mut connection = Self::open(node);
        connection.stream.get_mut().write_all(&request.0).unwrap();
        connection
    }

    pub fn call(&mut self, request: &Request, expected: u16) -> String {
        self.stream.get_mut().write_all(&request.0).unwrap();
        self.answer(expected)
    }

    fn answer(&mut self, expected: u16) -> String {
        let (status, body) = self.any_answer();
        assert_eq!(status, expected, "{body}");
        body
    }

    fn any_answer(&mut self) -> (u16, String) {
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
        (status, String::from_utf8(body).unwrap())
    }
}

/// User and system time of all processes of this name.
pub fn cpu_ms_of(name: &str) -> f64 {
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    let pids = processes.filter_map(|pid| pid.parse().ok());
    let named = |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == name);
    pids.filter(named).map(cpu_ms).sum()
}

/// User and system time of a process, from `/proc` (100 ticks a second).
pub fn cpu_ms(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) * 10.0
}
