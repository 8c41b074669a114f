//! Servers of a test's own, to be stopped, frozen and started again; never the machine's.

use std::{
    os::unix::process::CommandExt as _,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

pub fn wait_for_port(port: u16) {
    let started = Instant::now();
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        assert!(started.elapsed() < Duration::from_mins(1), "nothing answers on port {port}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Sends a signal by its name, as `STOP`.
pub fn signal(name: &str, pid: u32) {
    let done = Command::new("kill").args([format!("-{name}"), pid.to_string()]).status().unwrap();
    assert!(done.success(), "kill -{name} {pid}");
}

/// A server that can be broken.
pub trait Breakable {
    /// Stops it at once.
    fn kill(&mut self);
    fn start(&mut self);
    /// Lets it hang: it accepts and never answers.
    fn freeze(&self);
    fn thaw(&self);
}

/// A process with its children, killed with the value.
#[derive(Default)]
pub struct ProcessGroup(Option<Child>);

impl ProcessGroup {
    pub fn start(&mut self, command: &mut Command) {
        let name = command.get_program().to_owned();
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).spawn();
        self.0 = Some(child.unwrap_or_else(|error| panic!("{} is installed: {error}", name.display())));
    }

    pub fn signal(&self, name: &str) {
        signal(name, self.0.as_ref().unwrap().id());
    }

    /// To the process and its children.
    pub fn signal_all(&self, name: &str) {
        let group = format!("-{}", self.0.as_ref().unwrap().id());
        let _ = Command::new("kill").args([&format!("-{name}"), "--", &group]).status();
    }

    pub fn kill(&mut self) {
        if self.0.is_some() {
            self.signal_all("KILL");
        }
        if let Some(mut child) = self.0.take() {
            let _ = child.wait();
        }
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs a command on a Redis server; one that refuses it is no server to break.
pub fn redis_cli(port: u16, arguments: &[&str]) {
    let done = Command::new("redis-cli").args(["-p", &port.to_string()]).args(arguments).output().unwrap();
    assert!(done.status.success() && !done.stdout.starts_with(b"ERR"), "{done:?}");
}

pub struct OwnRedis {
    pub port: u16,
    arguments: Vec<String>,
    dir: tempfile::TempDir,
    process: ProcessGroup,
}

impl OwnRedis {
    pub fn launch() -> Self {
        Self::launch_at(free_port(), &[])
    }

    /// With settings of its own.
    pub fn launch_at(port: u16, arguments: &[&str]) -> Self {
        let (dir, process) = (tempfile::tempdir().unwrap(), ProcessGroup::default());
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let mut redis = Self { port, arguments, dir, process };
        redis.start();
        redis
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

impl Breakable for OwnRedis {
    fn kill(&mut self) {
        self.process.kill();
    }

    fn start(&mut self) {
        let port = self.port.to_string();
        let mut command = Command::new("redis-server");
        command.args(&self.arguments).args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        self.process.start(command.current_dir(self.dir.path()));
        wait_for_port(self.port);
    }

    fn freeze(&self) {
        self.process.signal("STOP");
    }

    fn thaw(&self) {
        self.process.signal("CONT");
    }
}

/// PgBouncer before a PostgreSQL server, whatever the database.
pub struct OwnPgBouncer {
    pub port: u16,
    dir: tempfile::TempDir,
    process: ProcessGroup,
}

impl OwnPgBouncer {
    /// In `session` or in `transaction` mode.
    pub fn launch(mode: &str, server: &str) -> Self {
        let (port, dir) = (free_port(), tempfile::tempdir().unwrap());
        let mut pooler = Self { port, dir, process: ProcessGroup::default() };
        let server = reqwest::Url::parse(server).unwrap();
        let settings = format!(
            "[databases]\n* = host={host} port={server_port} user={user} password={password}\n[pgbouncer]\n\
             listen_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = any\npool_mode = {mode}\nunix_socket_dir =\n",
            host = server.host_str().unwrap(),
            server_port = server.port().unwrap_or(5432),
            user = server.username(),
            password = server.password().unwrap_or("none"),
            port = pooler.port,
        );
        std::fs::write(pooler.dir.path().join("pgbouncer.ini"), settings).unwrap();
        let _ = Command::new("chmod").args(["-R", "a+rX"]).arg(pooler.dir.path()).status();
        pooler.start();
        pooler
    }

    /// The same database through the pooler.
    pub fn url(&self, database_url: &str) -> String {
        let (_, name) = database_url.rsplit_once('/').unwrap();
        format!("postgres://postgres@127.0.0.1:{}/{name}", self.port)
    }
}

impl Breakable for OwnPgBouncer {
    fn kill(&mut self) {
        self.process.kill();
    }

    fn start(&mut self) {
        let mut command = unprivileged("/usr/sbin/pgbouncer".into());
        self.process.start(command.arg(self.dir.path().join("pgbouncer.ini")).current_dir(self.dir.path()));
        wait_for_port(self.port);
    }

    fn freeze(&self) {
        self.process.signal_all("STOP");
    }

    fn thaw(&self) {
        self.process.signal_all("CONT");
    }
}

pub struct OwnPostgres {
    pub port: u16,
    dir: tempfile::TempDir,
}

impl OwnPostgres {
    pub fn launch() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let postgres = Self { port: free_port(), dir };
        if is_root() {
            let _ = Command::new("chmod").args(["755"]).arg(postgres.dir.path()).status();
            let _ = Command::new("install").args(["-d", "-o", "postgres", "-m", "700"]).arg(postgres.data()).status();
        }
        let data = postgres.data().display().to_string();
        Self::run("initdb", &["-D", &data, "-U", "postgres", "-A", "trust", "--no-sync"]);
        let mut postgres = postgres;
        postgres.start();
        postgres
    }

    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// From now on a role needs its password.
    pub fn ask_for_passwords(&self, role: &str) {
        let rules = format!("host all {role} all scram-sha-256\nhost all all all trust\nlocal all all trust\n");
        std::fs::write(self.data().join("pg_hba.conf"), rules).unwrap();
        Self::run("pg_ctl", &["-D", &self.data().display().to_string(), "reload"]);
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn run(program: &str, arguments: &[&str]) {
        let done = unprivileged(postgres_program(program)).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        assert!(done.success(), "{program} {arguments:?}");
    }

    /// The server's process and those of its connections.
    fn processes(&self) -> Vec<u32> {
        let file = std::fs::read_to_string(self.data().join("postmaster.pid")).unwrap();
        let main: u32 = file.lines().next().unwrap().trim().parse().unwrap();
        let children = Command::new("ps").args(["-o", "pid=", "--ppid", &main.to_string()]).output().unwrap();
        let children = String::from_utf8(children.stdout).unwrap();
        let children = children.lines().filter_map(|line| line.trim().parse().ok());
        std::iter::once(main).chain(children).collect()
    }

    fn signal_all(&self, name: &str) {
        let pids: Vec<String> = self.processes().iter().map(ToString::to_string).collect();
        let _ = Command::new("kill").arg(format!("-{name}")).args(pids).status();
    }
}

impl Breakable for OwnPostgres {
    fn kill(&mut self) {
        let data = self.data().display().to_string();
        Self::run("pg_ctl", &["-D", &data, "-m", "immediate", "-w", "stop"]);
    }

    fn start(&mut self) {
        let data = self.data().display().to_string();
        let options = format!("-p {} -k {data} -c listen_addresses=127.0.0.1 -c max_connections=200", self.port);
        let log = self.data().join("log").display().to_string();
        Self::run("pg_ctl", &["-D", &data, "-w", "-o", &options, "-l", &log, "start"]);
    }

    fn freeze(&self) {
        self.signal_all("STOP");
    }

    fn thaw(&self) {
        self.signal_all("CONT");
    }
}

impl Drop for OwnPostgres {
    fn drop(&mut self) {
        if self.data().join("postmaster.pid").exists() {
            self.thaw();
            self.kill();
        }
    }
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    String::from_utf8_lossy(&id.stdout).trim() == "0"
}

/// PostgreSQL and its pooler refuse to run as root.
fn unprivileged(program: PathBuf) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("runuser");
    command.args(["-u", "postgres", "--"]).arg(program);
    command
}

fn postgres_program(name: &str) -> PathBuf {
    let installed = glob_postgres_bin().into_iter().map(|bin| bin.join(name)).find(|path| path.exists());
    installed.unwrap_or_else(|| PathBuf::from(name))
}

/// Debian keeps them off the path.
fn glob_postgres_bin() -> Vec<PathBuf> {
    let Ok(versions) = std::fs::read_dir("/usr/lib/postgresql") else { return Vec::new() };
    versions.filter_map(|version| Some(version.ok()?.path().join("bin"))).collect()
}
