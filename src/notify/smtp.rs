//! Emails by SMTP.

use async_trait::async_trait;
use lettre::{
    AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor,
    message::{Mailbox, MultiPart},
    transport::smtp::{
        PoolConfig,
        authentication::Credentials,
        client::{Tls, TlsParameters},
    },
};
use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};

use super::{Message, Notifier, SendError, failover::TRY_TIMEOUT};

/// Sends emails by SMTP, over pooled connections.
pub struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
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
    /// Parses `smtp://` or `smtps://`, with credentials and a port if needed.
    pub fn parse(url: &str, from: Mailbox) -> Result<Self, &'static str> {
        let url = Url::parse(url).map_err(|_| "must be a URL")?;
        let has_credentials = !url.username().is_empty();
        let (security, port) = match url.scheme() {
            "smtps" => (SmtpSecurity::Tls, 465),
            "smtp" if has_credentials => (SmtpSecurity::StartTls, 587),
            "smtp" => (SmtpSecurity::StartTlsIfOffered, 25),
            _ => return Err("must begin with smtp:// or smtps://"),
        };
        let decoded = |text: &str| {
            let form = format!("x={}", text.replace('+', "%2B"));
            form_urlencoded::parse(form.as_bytes()).next().map(|(_, value)| value.into_owned()).unwrap_or_default()
        };
        let password = decoded(url.password().unwrap_or_default());
        Ok(Self {
            host: url.host_str().filter(|host| !host.is_empty()).ok_or("must name a host")?.to_owned(),
            port: url.port().unwrap_or(port),
            credentials: has_credentials.then(|| (decoded(url.username()), password.into())),
            security,
            from,
        })
    }
}

impl Smtp {
    /// Prepares the client without connecting.
    pub fn new(settings: &SmtpSettings) -> Result<Self, lettre::transport::smtp::Error> {
        let tls = || TlsParameters::new(settings.host.clone());
        let tls = match settings.security {
            SmtpSecurity::Tls => Tls::Wrapper(tls()?),
            SmtpSecurity::StartTls => Tls::Required(tls()?),
            SmtpSecurity::StartTlsIfOffered => Tls::Opportunistic(tls()?),
        };
        let pool = PoolConfig::new().max_size(16).min_idle(0).idle_timeout(std::time::Duration::from_secs(30));
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&settings.host)
            .port(settings.port)
            .tls(tls)
            .timeout(Some(TRY_TIMEOUT))
            .pool_config(pool);
        if let Some((user, password)) = &settings.credentials {
            builder = builder.credentials(Credentials::new(user.clone(), password.expose_secret().to_owned()));
        }
        Ok(Self { transport: builder.build(), from: settings.from.clone() })
    }

    fn email(&self, message: &Message) -> Result<lettre::Message, SendError> {
        let to: Mailbox = message.to.parse().map_err(|_| SendError::Final("it is not a mailbox".to_owned()))?;
        // The same at each try, so that mailboxes can drop a repeat.
        let id = format!("<{}@{}>", message.meta.id, self.from.email.domain());
        let email = lettre::Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(&message.subject)
            .message_id(Some(id))
            .multipart(MultiPart::alternative_plain_html(
                message.body.clone(),
                message.html.clone().unwrap_or_else(|| message.body.clone()),
            ));
        email.map_err(SendError::later)
    }
}

/// The mailbox does not exist, moved, or is misnamed (RFC 5321, 4.2.3); other refusals are the server's problem.
const PERMANENT: [&str; 3] = ["550", "551", "553"];

#[async_trait]
impl Notifier for Smtp {
    fn name(&self) -> &'static str {
        "smtp"
    }

    async fn send(&self, message: &Message) -> Result<(), SendError> {
        let sent = self.transport.send(self.email(message)?).await;
        sent.map(drop).map_err(|error| match error.status().map(|code| code.to_string()) {
            Some(code) if PERMANENT.contains(&code.as_str()) => SendError::Final(format!("the server answered {code}")),
            Some(code) => SendError::later(format!("the server answered {code}")),
            None if error.is_timeout() => SendError::later("no answer in time"),
            None => SendError::later("could not connect, or the connection broke"),
        })
    }
}
