//! A TCP forwarder before a real server, to trouble what goes through it.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, watch},
    time::Instant,
};

/// Passes bytes on to a port that can be changed; slowly, or not at all over the connections that are open.
pub struct Forwarder {
    pub port: u16,
    target: watch::Sender<u16>,
    delay: watch::Sender<Duration>,
    /// What becomes of the connections that are open now.
    open: Mutex<watch::Sender<Fate>>,
    shared: Arc<Mutex<watch::Receiver<Fate>>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Pass,
    Swallow,
    Cut,
}

impl Forwarder {
    pub async fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (open, fate) = watch::channel(Fate::Pass);
        let forwarder = Self {
            port: listener.local_addr().unwrap().port(),
            target: watch::Sender::new(target),
            delay: watch::Sender::new(Duration::ZERO),
            open: Mutex::new(open),
            shared: Arc::new(Mutex::new(fate)),
        };
        let (target, delay) = (forwarder.target.subscribe(), forwarder.delay.subscribe());
        let shared = Arc::clone(&forwarder.shared);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (port, delay, fate) = (*target.borrow(), delay.clone(), shared.lock().unwrap().clone());
                tokio::spawn(async move {
                    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
                    let ((client_in, client_out), (server_in, server_out)) = (client.into_split(), server.into_split());
                    let mut cut = fate.clone();
                    tokio::select! {
                        () = pass(client_in, server_out, fate.clone(), None) => {}
                        () = pass(server_in, client_out, fate, Some(delay)) => {}
                        _ = cut.wait_for(|fate| *fate == Fate::Cut) => {}
                    }
                });
            }
        });
        forwarder
    }

    /// Nothing passes any more over the connections that are open; new ones work.
    pub fn swallow_open_ones(&self) {
        self.decide(Fate::Swallow);
    }

    /// Closes the connections that are open; new ones work.
    pub fn cut_open_ones(&self) {
        self.decide(Fate::Cut);
    }

    pub fn turn_to(&self, port: u16) {
        self.target.send_replace(port);
    }

    /// Each answer takes so much longer.
    pub fn delay(&self, delay: Duration) {
        self.delay.send_replace(delay);
    }

    fn decide(&self, fate: Fate) {
        let (next, receiver) = watch::channel(Fate::Pass);
        *self.shared.lock().unwrap() = receiver;
        let open = std::mem::replace(&mut *self.open.lock().unwrap(), next);
        open.send_replace(fate);
        if fate == Fate::Swallow {
            std::mem::forget(open); // what they were told holds
        }
    }
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    fate: watch::Receiver<Fate>,
    delay: Option<watch::Receiver<Duration>>,
) {
    let (underway, mut arriving) = mpsc::unbounded_channel();
    let read = async move {
        let mut buffer = vec![0; 16_384];
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            let delay = delay.as_ref().map_or(Duration::ZERO, |delay| *delay.borrow());
            if underway.send((Instant::now() + delay, buffer[..length].to_vec())).is_err() {
                return;
            }
        }
    };
    let write = async move {
        while let Some((due, bytes)) = arriving.recv().await {
            if due > Instant::now() {
                tokio::time::sleep_until(due).await; // a past time too would take until the next millisecond
            }
            if *fate.borrow() == Fate::Pass && to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(read, write);
}
