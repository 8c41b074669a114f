//! Emails by SMTP.

use async_trait::async_trait;
use lettre::{
    AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor,
    message::{
        Mailbox, MultiPart,
        header::{HeaderName, HeaderValue},
    },
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
            .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned()))
            .multipart(MultiPart::alternative_plain_html(
                message.body.clone(),
                message.html.clone().unwrap_or_else(|| message.body.clone()),
            ));
        email.map_err(SendError::later)
    }
}

/// The mailbox does not exist, moved, or is misnamed (RFC 5321, 4.2.3).
const PERMANENT: [&str; 3] = ["550", "551", "553"];

/// Whether a refusal is about the recipient: by its enhanced code where there is one (RFC 3463: 5.1 but for the
/// sender's 5.1.7 and 5.1.8, and a disabled mailbox), since a policy (5.7) or a route (5.4) may be mended.
fn is_about_recipient(code: &str, text: &str) -> bool {
    let first = text.split_whitespace().next().unwrap_or_default();
    let is_enhanced = first.split('.').count() == 3 && first.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if !is_enhanced {
        return PERMANENT.contains(&code);
    }
    (first.starts_with("5.1.") && !matches!(first, "5.1.7" | "5.1.8")) || first == "5.2.1"
}

/// The words of the server's answer.
fn reply_of(error: &lettre::transport::smtp::Error) -> String {
    std::error::Error::source(error).map(ToString::to_string).unwrap_or_default()
}

#[async_trait]
impl Notifier for Smtp {
    fn name(&self) -> &'static str {
        "smtp"
    }

    async fn send(&self, message: &Message) -> Result<(), SendError> {
        let sent = self.transport.send(self.email(message)?).await;
        sent.map(drop).map_err(|error| match error.status().map(|code| code.to_string()) {
            Some(code) if is_about_recipient(&code, &reply_of(&error)) => {
                SendError::Final(format!("the server answered {code}"))
            }
            // 421: the server closes; 454, 530, 535, 538: it wants other credentials.
            Some(code) if ["421", "454", "530", "534", "535", "538", "554"].contains(&code.as_str()) => {
                SendError::later(format!("the server answered {code}"))
            }
            Some(code) => SendError::later(format!("the server answered {code}")).of_message(),
            None if error.is_timeout() => SendError::later("no answer in time"),
            None => SendError::later("could not connect, or the connection broke"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_about_the_mailbox_is_final() {
        for (code, text, is_final) in [
            ("550", "5.1.1 no such user", true),
            ("550", "5.1.10 null mx", true),
            ("550", "5.2.1 disabled", true),
            ("550", "no such user here", true),
            ("553", "5.1.3 bad address", true),
            ("550", "5.7.1 policy", false),
            ("550", "5.7.26 unauthenticated mail", false),
            ("550", "5.4.1 no route", false),
            ("553", "5.1.8 sender's domain", false),
            ("550", "5.1.7 sender's address", false),
            ("552", "5.2.2 mailbox full", false),
            ("451", "4.7.1 greylisted", false),
        ] {
            assert_eq!(is_about_recipient(code, text), is_final, "{code} {text}");
        }
    }
}
