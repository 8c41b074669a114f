//! A mail server: it takes mail down, and answers each phase as it is told to; with TLS under an authority of its own.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex},
};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader},
    net::TcpListener,
};
use tokio_rustls::{TlsAcceptor, rustls};

pub struct MailServer {
    pub port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// What it says in place of its usual answer, by the phase: `greeting`, `EHLO`, `MAIL`, `RCPT`, `DATA`, `content`.
    answers: Mutex<HashMap<&'static str, &'static str>>,
    lines: Mutex<Vec<String>>,
}

impl MailServer {
    pub async fn start() -> Self {
        Self::listen(None).await
    }

    /// With TLS from the start; the certificate of its authority is written to the file.
    pub async fn with_tls(authority: &Path) -> Self {
        Self::listen(Some(acceptor(authority))).await
    }

    async fn listen(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self { port: listener.local_addr().unwrap().port(), shared: Arc::default() };
        let shared = Arc::clone(&server.shared);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (shared, tls) = (Arc::clone(&shared), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => shared.serve(stream).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                shared.serve(stream).await;
                            }
                        }
                    }
                });
            }
        });
        server
    }

    /// From now on; an empty answer is the usual one.
    pub fn answer(&self, phase: &'static str, with: &'static str) {
        let mut answers = self.shared.answers.lock().unwrap();
        answers.clear();
        if !with.is_empty() {
            answers.insert(phase, with);
        }
    }

    /// Every line that came.
    pub fn lines(&self) -> Vec<String> {
        self.shared.lines.lock().unwrap().clone()
    }
}

impl Shared {
    fn say(&self, phase: &'static str, usual: &'static str) -> String {
        let said = self.answers.lock().unwrap().get(phase).copied().unwrap_or(usual);
        format!("{said}\r\n")
    }

    async fn serve(&self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let (reader, mut writer) = tokio::io::split(stream);
        let mut lines = BufReader::new(reader).lines();
        let _ = writer.write_all(self.say("greeting", "220 mail").as_bytes()).await;
        let mut in_content = false;
        while let Ok(Some(line)) = lines.next_line().await {
            self.lines.lock().unwrap().push(line.clone());
            let word = line.split(' ').next().unwrap_or_default().to_ascii_uppercase();
            let answer = match word.as_str() {
                "." => {
                    in_content = false;
                    self.say("content", "250 2.0.0 taken")
                }
                _ if in_content => continue,
                "EHLO" => self.say("EHLO", "250-mail\r\n250-AUTH PLAIN\r\n250 8BITMIME"),
                "MAIL" => self.say("MAIL", "250 2.1.0 ok"),
                "RCPT" => self.say("RCPT", "250 2.1.5 ok"),
                "DATA" => {
                    let answer = self.say("DATA", "354 go on");
                    in_content = answer.starts_with("354");
                    answer
                }
                "AUTH" => self.say("AUTH", "235 2.7.0 ok"),
                _ => "250 ok\r\n".to_owned(),
            };
            if writer.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

fn acceptor(authority: &Path) -> TlsAcceptor {
    let authority_key = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::new(Vec::new()).unwrap();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    std::fs::write(authority, parameters.self_signed(&authority_key).unwrap().pem()).unwrap();
    let issuer = Issuer::new(parameters, authority_key);
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key.serialize_der().try_into().unwrap())
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}
