//! RabbitMQ: one of a test's own, to be stopped and started, and what listens to the machine's.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use lapin::{
    Channel, Connection, ConnectionProperties,
    options::{ExchangeDeleteOptions, QueueDeclareOptions, QueueDeleteOptions},
    types::FieldTable,
};

use super::{
    backend::{server_url, unique},
    servers::{Breakable, ProcessGroup, free_port, wait_for_port},
};

pub fn amqp_url() -> String {
    server_url("AMQP_URL", "amqp://guest:guest@127.0.0.1:5672/%2f")
}

/// A server of a test's own; its data outlive a kill.
pub struct OwnRabbit {
    port: u16,
    dist_port: u16,
    name: String,
    dir: tempfile::TempDir,
    process: ProcessGroup,
}

impl OwnRabbit {
    pub fn launch() -> Self {
        let name = unique("enroll");
        let (port, dist_port) = (free_port(), free_port());
        let mut rabbit = Self { port, dist_port, name, dir: tempfile::tempdir().unwrap(), process: ProcessGroup::default() };
        rabbit.start();
        rabbit
    }

    pub fn url(&self) -> String {
        self.url_of("guest")
    }

    /// For a user whose password is its name.
    pub fn url_of(&self, user: &str) -> String {
        format!("amqp://{user}:{user}@127.0.0.1:{}/%2f", self.port)
    }

    /// A user who may configure, write and read what these patterns match.
    pub fn add_user(&self, user: &str, configure: &str, write: &str, read: &str) {
        self.control(&["add_user", user, user]);
        self.control(&["set_permissions", user, configure, write, read]);
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn control(&self, arguments: &[&str]) {
        let debians = "/usr/lib/rabbitmq/bin/rabbitmqctl";
        let program = if Path::new(debians).exists() { debians } else { "rabbitmqctl" };
        let mut command = Command::new(program);
        command.env("HOME", self.dir.path()).args(["-n", &format!("{}@localhost", self.name)]).args(arguments);
        let done = command.output().unwrap();
        assert!(done.status.success(), "{done:?}");
    }
}

/// Debian's script on the path would change the user.
fn program() -> &'static str {
    let debians = "/usr/lib/rabbitmq/bin/rabbitmq-server";
    if Path::new(debians).exists() { debians } else { "rabbitmq-server" }
}

impl Breakable for OwnRabbit {
    fn kill(&mut self) {
        self.process.kill();
    }

    fn start(&mut self) {
        let home = self.dir.path();
        let listeners = format!("listeners.tcp.1 = 127.0.0.1:{}\n", self.port);
        std::fs::write(home.join("rabbitmq.conf"), listeners).unwrap();
        self.process.start(
            Command::new(program())
                .env("HOME", home)
                .env("RABBITMQ_NODENAME", format!("{}@localhost", self.name))
                .env("RABBITMQ_MNESIA_BASE", home.join("db"))
                .env("RABBITMQ_LOG_BASE", home.join("log"))
                .env("RABBITMQ_CONFIG_FILE", home.join("rabbitmq.conf"))
                .env("RABBITMQ_ENABLED_PLUGINS_FILE", home.join("plugins"))
                .env("RABBITMQ_DIST_PORT", self.dist_port.to_string()),
        );
        wait_for_port(self.port);
    }

    fn freeze(&self) {
        self.process.signal_all("STOP");
    }

    fn thaw(&self) {
        self.process.signal_all("CONT");
    }
}

/// An exchange and a queue of a test's own, gone with the value.
pub struct TestExchange {
    pub url: String,
    pub exchange: String,
    pub queue: String,
}

impl TestExchange {
    pub fn on(url: String) -> Self {
        Self { url, exchange: unique("enroll_test"), queue: unique("enroll_test_queue") }
    }

    pub async fn channel(&self) -> (Connection, Channel) {
        let connection = Connection::connect(&self.url, ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        (connection, channel)
    }

    /// How many wait in a queue, once there are so many.
    pub async fn waits(&self, queue: &str, count: u32) -> u32 {
        let started = Instant::now();
        loop {
            let (_connection, channel) = self.channel().await;
            let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
            let declared = channel.queue_declare(queue.into(), passive, FieldTable::default()).await.unwrap();
            if declared.message_count() >= count || started.elapsed() > Duration::from_secs(20) {
                return declared.message_count();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    pub async fn remove(&self) {
        let (_connection, channel) = self.channel().await;
        let dead = format!("{}.dead", self.queue);
        for queue in [&self.queue, &dead] {
            let _ = channel.queue_delete(queue.as_str().into(), QueueDeleteOptions::default()).await;
        }
        for exchange in [&self.exchange, &dead] {
            let _ = channel.exchange_delete(exchange.as_str().into(), ExchangeDeleteOptions::default()).await;
        }
    }
}
