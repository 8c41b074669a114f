//! Emails by SMTP.

use std::{
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use lettre::{
    Address, Message as Email,
    message::{
        Mailbox, MultiPart,
        header::{HeaderName, HeaderValue},
    },
    transport::smtp::{
        Error,
        authentication::{Credentials, DEFAULT_MECHANISMS},
        client::{AsyncSmtpConnection, TlsParameters},
        commands::{Data, Mail, Rcpt},
        extension::{ClientId, Extension, MailBodyParameter, MailParameter},
    },
};
use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::Instant;

use super::{Message, Notifier, Receipt, SendError, failover::TRY_TIMEOUT, http::decoded};

/// Sends emails by SMTP, over connections that are kept for a while.
pub struct Smtp {
    settings: SmtpSettings,
    tls: TlsParameters,
    idle: Mutex<Vec<(AsyncSmtpConnection, Instant)>>,
}

/// The settings of SMTP.
#[derive(Debug, Clone)]
pub struct SmtpSettings {
    /// The server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// User and password.
    pub credentials: Option<(String, SecretString)>,
    /// How the connection is protected.
    pub security: SmtpSecurity,
    /// The sender.
    pub from: Mailbox,
    /// The name said in EHLO.
    pub hello: String,
}

/// How the connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpSecurity {
    /// `smtps://`
    Tls,
    /// `smtp://` with credentials: they never go in the clear.
    StartTls,
    /// `smtp://` without credentials: STARTTLS if the server offers it.
    StartTlsIfOffered,
}

impl SmtpSettings {
    /// Parses a mailbox, whose domain gets the form that every mail server reads.
    pub fn sender(text: &str) -> Option<Mailbox> {
        let Mailbox { name, email } = text.parse().ok()?;
        let domain = idna::domain_to_ascii(email.domain()).ok()?;
        Some(Mailbox::new(name, Address::new(email.user(), domain).ok()?))
    }

    /// Parses `smtp://` or `smtps://`, with credentials and a port if needed.
    pub fn parse(url: &str, from: Mailbox, hello: String) -> Result<Self, &'static str> {
        let url = Url::parse(url).map_err(|_| "must be a URL")?;
        let has_credentials = !url.username().is_empty();
        let (security, port) = match url.scheme() {
            "smtps" => (SmtpSecurity::Tls, 465),
            "smtp" if has_credentials => (SmtpSecurity::StartTls, 587),
            "smtp" => (SmtpSecurity::StartTlsIfOffered, 25),
            _ => return Err("must begin with smtp:// or smtps://"),
        };
        let password = decoded(url.password().unwrap_or_default());
        Ok(Self {
            host: bare_host(&url).ok_or("must name a host")?.to_owned(),
            port: url.port().unwrap_or(port),
            credentials: has_credentials.then(|| (decoded(url.username()), password.into())),
            security,
            from,
            hello,
        })
    }
}

/// Without the brackets of an IPv6 address.
fn bare_host(url: &Url) -> Option<&str> {
    url.host_str().map(|host| host.trim_matches(['[', ']'])).filter(|host| !host.is_empty())
}

/// The part of a delivery that a server's answer belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Greeting, EHLO, TLS and login.
    Connecting,
    Sender,
    Recipient,
    Content,
}

/// Connections kept open.
const IDLE: usize = 16;
/// Servers close idle ones after some minutes; ours go before.
const IDLE_FOR: Duration = Duration::from_secs(30);

impl Smtp {
    /// Prepares the client without connecting.
    pub fn new(settings: SmtpSettings) -> Result<Self, Error> {
        let tls = TlsParameters::new(settings.host.clone())?;
        Ok(Self { settings, tls, idle: Mutex::default() })
    }

    /// Connects, secures the connection and logs in.
    async fn connect(&self) -> Result<AsyncSmtpConnection, Error> {
        let SmtpSettings { host, port, security, credentials, hello, .. } = &self.settings;
        let hello = hello.parse::<IpAddr>().map_or_else(|_| ClientId::Domain(hello.clone()), client_id);
        let from_the_start = (*security == SmtpSecurity::Tls).then(|| self.tls.clone());
        let server = (host.as_str(), *port);
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(server, Some(TRY_TIMEOUT), &hello, from_the_start, None).await?;
        let upgrades = match security {
            SmtpSecurity::Tls => false,
            SmtpSecurity::StartTls => true,
            SmtpSecurity::StartTlsIfOffered => connection.can_starttls(),
        };
        if upgrades {
            connection.starttls(self.tls.clone(), &hello).await?;
        }
        if let Some((user, password)) = credentials {
            let credentials = Credentials::new(user.clone(), password.expose_secret().to_owned());
            connection.auth(DEFAULT_MECHANISMS, &credentials).await?;
        }
        Ok(connection)
    }

    /// One that was kept and still answers, or a new one.
    async fn connection(&self) -> Result<AsyncSmtpConnection, Error> {
        loop {
            let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            match kept {
                None => return self.connect().await,
                Some((mut connection, since)) => {
                    if since.elapsed() < IDLE_FOR && connection.test_connected().await {
                        return Ok(connection);
                    }
                }
            }
        }
    }

    fn keep(&self, connection: AsyncSmtpConnection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE {
            idle.push((connection, Instant::now()));
        }
    }

    fn email(&self, message: &Message) -> Result<Email, SendError> {
        let to: Mailbox = message.to.parse().map_err(|_| SendError::Final("it is not a mailbox".to_owned()))?;
        // The same at each try, so that mailboxes can drop a repeat.
        let id = format!("<{}@{}>", message.meta.id, self.settings.from.email.domain());
        let email = Email::builder()
            .from(self.settings.from.clone())
            .to(to)
            .subject(&message.subject)
            .message_id(Some(id))
            .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned()))
            .multipart(MultiPart::alternative_plain_html(
                message.body.clone(),
                message.html.clone().unwrap_or_else(|| message.body.clone()),
            ));
        email.map_err(SendError::later)
    }
}

fn client_id(ip: IpAddr) -> ClientId {
    match ip {
        IpAddr::V4(ip) => ClientId::Ipv4(ip),
        IpAddr::V6(ip) => ClientId::Ipv6(ip),
    }
}

/// Hands over an email; says in which phase it failed.
async fn hand_over(connection: &mut AsyncSmtpConnection, email: &Email) -> Result<(), (Phase, Error)> {
    let (envelope, content) = (email.envelope(), email.formatted());
    let server = connection.server_info();
    let mut options = Vec::new();
    let is_ascii = |address: &Address| AsRef::<str>::as_ref(address).is_ascii();
    if !envelope.to().iter().all(is_ascii) && server.supports_feature(Extension::SmtpUtfEight) {
        options.push(MailParameter::SmtpUtfEight);
    }
    if !content.is_ascii() && server.supports_feature(Extension::EightBitMime) {
        options.push(MailParameter::Body(MailBodyParameter::EightBitMime));
    }
    let sender = Mail::new(envelope.from().cloned(), options);
    connection.command(sender).await.map_err(|error| (Phase::Sender, error))?;
    for recipient in envelope.to() {
        let recipient = Rcpt::new(recipient.clone(), Vec::new());
        connection.command(recipient).await.map_err(|error| (Phase::Recipient, error))?;
    }
    connection.command(Data).await.map_err(|error| (Phase::Content, error))?;
    connection.message(&content).await.map_err(|error| (Phase::Content, error))?;
    Ok(())
}

/// The enhanced code of an answer, if it has one (RFC 3463).
fn enhanced(text: &str) -> Option<&str> {
    let first = text.split_whitespace().next()?;
    let is_enhanced = first.split('.').count() == 3 && first.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    is_enhanced.then_some(first)
}

/// Whether a refusal is about the recipient, so that no other try can succeed: an enhanced code for a mailbox that
/// does not exist, moved or is disabled, in any phase once the connection is open; or a refusal of RCPT that names
/// neither a policy (5.7) nor a full mailbox (5.2.2), which may be mended.
fn is_about_recipient(phase: Phase, code: &str, text: &str) -> bool {
    let is_sender = |code: &str| matches!(code, "5.1.7" | "5.1.8");
    match (phase, enhanced(text)) {
        (Phase::Connecting, _) => false,
        (_, Some(enhanced)) if enhanced.starts_with("5.1.") => !is_sender(enhanced) && phase != Phase::Sender,
        (Phase::Sender, _) => false,
        (_, Some("5.2.1")) => true,
        (Phase::Recipient, Some(enhanced)) => {
            enhanced.starts_with("5.") && !enhanced.starts_with("5.7.") && enhanced != "5.2.2"
        }
        (Phase::Recipient, None) => matches!(code, "550" | "551" | "553"), // RFC 5321, 4.2.3
        (Phase::Content, _) => false,
    }
}

/// The server itself is at fault: it closes (421), or wants other credentials.
fn is_about_server(phase: Phase, code: &str) -> bool {
    phase == Phase::Connecting || matches!(code, "421" | "454" | "530" | "534" | "535" | "538")
}

fn judge(phase: Phase, error: &Error) -> SendError {
    // The words of the server's answer, or of what kept the connection from being made.
    let text = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    match error.status().map(|code| code.to_string()) {
        Some(code) if is_about_recipient(phase, &code, &text) => {
            SendError::Final(format!("the server answered {code} {}", enhanced(&text).unwrap_or_default()))
        }
        Some(code) => {
            let later = SendError::later(format!("the server answered {code} {}", enhanced(&text).unwrap_or_default()));
            if is_about_server(phase, &code) { later } else { later.of_message() }
        }
        None if error.is_timeout() => SendError::later("no answer in time"),
        None if text.contains("certificate") => SendError::later(format!("its certificate is not trusted: {text}")),
        None => SendError::later(format!("could not connect, or the connection broke: {text}")),
    }
}

#[async_trait]
impl Notifier for Smtp {
    fn name(&self) -> &'static str {
        "smtp"
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        let email = self.email(message)?;
        let mut connection = self.connection().await.map_err(|error| judge(Phase::Connecting, &error))?;
        // A connection that gave an error is used no more.
        hand_over(&mut connection, &email).await.map_err(|(phase, error)| judge(phase, &error))?;
        self.keep(connection);
        Ok(None)
    }

    async fn check(&self) -> Result<(), SendError> {
        let mut connection = self.connect().await.map_err(|error| judge(Phase::Connecting, &error))?;
        let _ = connection.quit().await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_about_the_mailbox_is_final() {
        use Phase::{Connecting, Content, Recipient, Sender};
        for (phase, code, text, is_final) in [
            (Recipient, "550", "5.1.1 no such user", true),
            (Recipient, "550", "5.1.10 null mx", true),
            (Recipient, "550", "5.2.1 disabled", true),
            (Recipient, "550", "no such user here", true),
            (Recipient, "553", "5.1.3 bad address", true),
            (Recipient, "550", "5.4.1 recipient rejected", true),
            (Content, "550", "5.1.1 no such user", true),
            (Content, "550", "5.2.1 disabled", true),
            (Recipient, "550", "5.7.1 policy", false),
            (Recipient, "554", "blocked", false),
            (Recipient, "552", "5.2.2 mailbox full", false),
            (Recipient, "451", "4.7.1 greylisted", false),
            (Content, "550", "5.7.26 unauthenticated mail", false),
            (Content, "550", "5.4.1 no route", false),
            (Content, "550", "spam", false),
            (Sender, "550", "no", false),
            (Sender, "553", "5.1.8 sender's domain", false),
            (Sender, "550", "5.1.1 unknown sender", false),
            (Connecting, "550", "5.1.1 go away", false),
            (Connecting, "554", "no service", false),
        ] {
            assert_eq!(is_about_recipient(phase, code, text), is_final, "{phase:?} {code} {text}");
        }
    }

    #[test]
    fn urls_are_read_whole() {
        let parse = |url: &str| {
            SmtpSettings::parse(url, "Enroll <no-reply@example.com>".parse().unwrap(), "x".to_owned()).unwrap()
        };
        let settings = parse("smtp://us%40er:p%26a&s+s%3Dw@[::1]:2525");
        let (user, password) = settings.credentials.unwrap();
        assert_eq!((user.as_str(), password.expose_secret()), ("us@er", "p&a&s+s=w"));
        assert_eq!((settings.host.as_str(), settings.port), ("::1", 2525));
    }
}
