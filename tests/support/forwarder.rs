//! A TCP forwarder before a real server, to trouble what goes through it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU16, Ordering},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// Passes bytes on to a port that can be changed, or swallows those of the connections that are open.
pub struct Forwarder {
    pub port: u16,
    target: Arc<AtomicU16>,
    swallowing: Arc<std::sync::Mutex<Arc<AtomicBool>>>,
}

impl Forwarder {
    pub async fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let forwarder = Self {
            port: listener.local_addr().unwrap().port(),
            target: Arc::new(AtomicU16::new(target)),
            swallowing: Arc::default(),
        };
        let (target, swallowing) = (Arc::clone(&forwarder.target), Arc::clone(&forwarder.swallowing));
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let port = target.load(Ordering::Relaxed);
                let swallows = Arc::clone(&swallowing.lock().unwrap());
                tokio::spawn(async move {
                    let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
                    let (mut from_client, mut from_server) = (vec![0; 16_384], vec![0; 16_384]);
                    loop {
                        tokio::select! {
                            read = client.read(&mut from_client) => match read {
                                Ok(length) if length > 0 => {
                                    if !swallows.load(Ordering::Relaxed) {
                                        let _ = server.write_all(&from_client[..length]).await;
                                    }
                                }
                                _ => return,
                            },
                            read = server.read(&mut from_server) => match read {
                                Ok(length) if length > 0 => {
                                    if !swallows.load(Ordering::Relaxed) {
                                        let _ = client.write_all(&from_server[..length]).await;
                                    }
                                }
                                _ => return,
                            },
                        }
                    }
                });
            }
        });
        forwarder
    }

    /// Nothing passes any more over the connections that are open; new ones work.
    pub fn swallow_open_ones(&self) {
        let mut current = self.swallowing.lock().unwrap();
        current.store(true, Ordering::Relaxed);
        *current = Arc::default();
    }

    pub fn turn_to(&self, port: u16) {
        self.target.store(port, Ordering::Relaxed);
    }
}
