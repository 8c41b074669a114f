//! Messages and their providers.

use reqwest::Url;

use super::reader::Reader;
use crate::crypto::{WebhookSecret, WebhookSigner};
use crate::domain::AppHash;
use crate::http::ServerSettings;
use crate::notify::{SmtpSettings, TemplateSettings, Templates, TwilioSender, TwilioSettings, WebhookSettings};

/// Messages and their providers.
#[derive(Debug, Clone)]
pub struct NotifySettings {
    /// The texts.
    pub templates: Templates,
    /// The Android apps that may ask for codes.
    pub android_apps: Vec<AppHash>,
    /// Whether there is a development inbox.
    pub inbox: bool,
    /// Whether the settings ask for it.
    pub inbox_is_explicit: bool,
    /// The providers of text messages, in the order they are tried.
    pub sms: Vec<ProviderSettings>,
    /// The providers of emails, in the order they are tried.
    pub email: Vec<ProviderSettings>,
}

/// A provider with its settings.
#[derive(Debug, Clone)]
pub enum ProviderSettings {
    /// Standard output.
    Console,
    /// Twilio.
    Twilio(TwilioSettings),
    /// An HTTP gateway.
    Webhook(WebhookSettings),
    /// A mail server.
    Smtp(SmtpSettings),
    /// Amazon SNS.
    #[cfg(feature = "aws")]
    Sns(crate::notify::SnsSettings),
}

impl NotifySettings {
    /// Whether a channel prints its codes.
    pub fn prints_codes(&self) -> bool {
        self.sms.iter().chain(&self.email).any(|provider| matches!(provider, ProviderSettings::Console))
    }

    pub(super) fn is_console_alone(&self) -> bool {
        self.sms.iter().chain(&self.email).all(|provider| matches!(provider, ProviderSettings::Console))
    }

    /// Twilio's settings, if it is used.
    pub fn twilio(&self) -> Option<&TwilioSettings> {
        self.sms.iter().find_map(|provider| match provider {
            ProviderSettings::Twilio(settings) => Some(settings),
            _ => None,
        })
    }
}

/// The settings of every provider, whether or not it is used.
struct ProviderOptions {
    twilio: Option<TwilioSettings>,
    webhook: Option<WebhookSettings>,
    smtp: Option<SmtpSettings>,
    sns: Option<ProviderSettings>,
}

pub(super) fn notify(settings: &mut Reader, embedded: bool, server: &ServerSettings) -> NotifySettings {
    let options = ProviderOptions {
        twilio: twilio(settings, server),
        webhook: webhook(settings),
        smtp: smtp(settings, server),
        sns: sns(settings),
    };
    let mut notify = NotifySettings {
        templates: templates(settings),
        android_apps: android_apps(settings),
        inbox: false,
        inbox_is_explicit: false,
        sms: providers(settings, "notify.sms", embedded, &options),
        email: providers(settings, "notify.email", embedded, &options),
    };
    let is_private =
        server.address.ip().is_loopback() && !server.public_url_is_set && server.trusted_proxies.is_empty();
    let by_default = embedded && is_private && notify.is_console_alone();
    let explicit: Option<bool> =
        settings.parsed("notify.inbox", None, |text| text.parse().map(Some).map_err(|_| "must be true or false"));
    if explicit == Some(true) && !notify.is_console_alone() {
        settings.problem("notify.inbox", "shows every code: it is only allowed with the console, not with a provider");
    }
    notify.inbox = explicit.unwrap_or(by_default);
    notify.inbox_is_explicit = explicit == Some(true);
    notify
}

/// With PostgreSQL the console must be asked for: it prints codes.
fn providers(
    settings: &mut Reader,
    setting: &'static str,
    embedded: bool,
    options: &ProviderOptions,
) -> Vec<ProviderSettings> {
    let Some(names) = settings.list(setting) else {
        if !embedded {
            settings.problem(setting, "is required with PostgreSQL; `console` would print codes");
        }
        return vec![ProviderSettings::Console];
    };
    let mut providers = Vec::new();
    for name in names {
        let provider = match (name.as_str(), setting) {
            ("console", _) => Ok(ProviderSettings::Console),
            ("twilio", "notify.sms") => options
                .twilio
                .clone()
                .map(ProviderSettings::Twilio)
                .ok_or("twilio needs its settings, ENROLL__NOTIFY__TWILIO__…"),
            ("webhook", _) => options
                .webhook
                .clone()
                .map(ProviderSettings::Webhook)
                .ok_or("webhook needs its URL and SECRET, ENROLL__NOTIFY__WEBHOOK__…"),
            ("smtp", "notify.email") => options
                .smtp
                .clone()
                .map(ProviderSettings::Smtp)
                .ok_or("smtp needs its URL and FROM, ENROLL__NOTIFY__SMTP__…"),
            ("sns", "notify.sms") if cfg!(feature = "aws") => {
                options.sns.clone().ok_or("sns needs its REGION, ENROLL__NOTIFY__SNS__REGION")
            }
            ("sns", "notify.sms") => Err("is not in this build (cargo feature `aws`)"),
            (_, "notify.sms") => Err("unknown provider; use console, twilio, sns or webhook"),
            _ => Err("unknown provider; use console, smtp or webhook"),
        };
        match provider {
            Ok(provider) => providers.push(provider),
            Err(problem) => settings.problem(setting, format!("{name}: {problem}")),
        }
    }
    providers
}

fn twilio(settings: &mut Reader, server: &ServerSettings) -> Option<TwilioSettings> {
    let account_sid = settings.text("notify.twilio.account_sid");
    let auth_token = settings.text("notify.twilio.auth_token").map(Into::into);
    let api_key = settings.text("notify.twilio.api_key");
    let api_secret = settings.text("notify.twilio.api_secret").map(Into::into);
    let number = settings.text("notify.twilio.from");
    let service = settings.text("notify.twilio.messaging_service_sid");
    let base_url = settings.text("notify.twilio.base_url");
    let account_sid = account_sid?;
    let sender = match (number, service) {
        (Some(number), None) => TwilioSender::Number(number),
        (None, Some(sid)) => TwilioSender::MessagingService(sid),
        _ => {
            settings.problem("notify.twilio.from", "set either this or MESSAGING_SERVICE_SID");
            return None;
        }
    };
    let api_key = api_key.zip(api_secret);
    if auth_token.is_none() && api_key.is_none() {
        settings.problem("notify.twilio.auth_token", "is required, or API_KEY and API_SECRET");
    }
    let reported = auth_token.is_some() && server.public_url_is_set;
    Some(TwilioSettings {
        account_sid,
        auth_token,
        api_key,
        sender,
        base_url: base_url.unwrap_or_else(|| "https://api.twilio.com".to_owned()).trim_end_matches('/').to_owned(),
        callback: reported.then(|| format!("{}/providers/twilio/status", server.public_url)),
    })
}

fn smtp(settings: &mut Reader, server: &ServerSettings) -> Option<SmtpSettings> {
    let sender = settings.parsed("notify.smtp.from", None, |text| {
        SmtpSettings::sender(text).map(Some).ok_or("must be a mailbox such as Enroll <no-reply@example.com>")
    });
    let hello = settings.text("notify.smtp.hello").or_else(|| {
        let url = Url::parse(&server.public_url).ok()?;
        Some(url.host_str()?.trim_matches(['[', ']']).to_owned())
    });
    let hello = hello.unwrap_or_else(|| "localhost".to_owned());
    let url = settings.text("notify.smtp.url")?;
    let Some(sender) = sender else {
        settings.problem("notify.smtp.from", "is required with the URL, for example Enroll <no-reply@example.com>");
        return None;
    };
    SmtpSettings::parse(&url, sender, hello).map_err(|error| settings.problem("notify.smtp.url", error)).ok()
}

#[cfg(feature = "aws")]
fn sns(settings: &mut Reader) -> Option<ProviderSettings> {
    let settings = crate::notify::SnsSettings {
        endpoint_url: settings.text("notify.sns.endpoint_url"),
        sender_id: settings.text("notify.sns.sender_id"),
        entity_id: settings.text("notify.sns.entity_id"),
        template_id: settings.text("notify.sns.template_id"),
        region: settings.text("notify.sns.region")?,
    };
    Some(ProviderSettings::Sns(settings))
}

#[cfg(not(feature = "aws"))]
fn sns(settings: &mut Reader) -> Option<ProviderSettings> {
    settings.not_built(&["notify.sns.region", "notify.sns.endpoint_url"], "");
    settings.not_built(&["notify.sns.sender_id", "notify.sns.entity_id", "notify.sns.template_id"], "");
    None
}

fn android_apps(settings: &mut Reader) -> Vec<AppHash> {
    let texts = settings.list("notify.android_apps").unwrap_or_default();
    texts.iter().map(|text| AppHash::parse(text)).collect::<Option<Vec<_>>>().unwrap_or_else(|| {
        settings
            .problem("notify.android_apps", "must be hashes of 11 characters of base64, as the SMS Retriever has them");
        Vec::new()
    })
}

/// Every template is rendered here once, so that no message fails later.
fn templates(settings: &mut Reader) -> Templates {
    let templates = TemplateSettings {
        brand: settings.parsed("notify.brand", "Enroll".to_owned(), |text| {
            let fits = text.chars().count() <= 40 && !text.chars().any(char::is_control);
            fits.then(|| text.to_owned()).ok_or("must have at most 40 characters, none of them a control character")
        }),
        default_locale: settings.text("notify.default_locale").unwrap_or_else(|| "en".to_owned()).to_ascii_lowercase(),
        webotp_domain: settings.parsed("notify.webotp_domain", None, |text| {
            let is_host = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c));
            is_host.then(|| Some(text.to_owned())).ok_or("must be a host such as example.com")
        }),
        support: settings.parsed("notify.support", None, |text| {
            let fits = text.chars().count() <= 80 && !text.chars().any(char::is_control);
            fits.then(|| Some(text.to_owned()))
                .ok_or("must have at most 80 characters, none of them a control character")
        }),
    };
    let dir = settings.text("notify.templates_dir");
    let plain = TemplateSettings { default_locale: "en".to_owned(), ..templates.clone() };
    Templates::load(templates, dir.as_deref().map(std::path::Path::new)).unwrap_or_else(|error| {
        settings.problem(if dir.is_some() { "notify.templates_dir" } else { "notify.default_locale" }, error);
        Templates::load(plain, None).expect("the built-in templates are valid")
    })
}

fn webhook(settings: &mut Reader) -> Option<WebhookSettings> {
    let url = settings.parsed("notify.webhook.url", None, |text| web_url(text).map(Some));
    let signer = signer(settings, ["notify.webhook.secret", "notify.webhook.previous_secret"]);
    Some(WebhookSettings { url: url?, signer: signer? })
}

/// The signer of a webhook, if its secret is set.
pub(super) fn signer(settings: &mut Reader, [secret, previous]: [&'static str; 2]) -> Option<WebhookSigner> {
    let secret = settings.parsed(secret, None, |text| WebhookSecret::parse(text).map(Some));
    let previous = settings.parsed(previous, None, |text| WebhookSecret::parse(text).map(Some));
    secret.map(|secret| WebhookSigner::new(secret, previous))
}

pub(super) fn web_url(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    url.ok_or("must be an http:// or https:// URL")
}
