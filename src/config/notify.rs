//! Who carries messages, and how.

use reqwest::Url;

use super::reader::Reader;
use crate::http::ServerSettings;
use crate::notify::{
    SmtpSettings, TemplateSettings, Templates, TwilioSender, TwilioSettings, WebhookSecret, WebhookSettings,
};

#[derive(Debug, Clone)]
pub struct NotifySettings {
    pub templates: Templates,
    pub inbox: bool,
    pub inbox_named: bool,
    /// In the order they are tried.
    pub sms: Vec<ProviderSettings>,
    pub email: Vec<ProviderSettings>,
}

#[derive(Debug, Clone)]
pub enum ProviderSettings {
    Console,
    Twilio(TwilioSettings),
    Webhook(WebhookSettings),
    Smtp(SmtpSettings),
    #[cfg(feature = "aws")]
    Sns(crate::notify::SnsSettings),
}

impl NotifySettings {
    pub fn prints_codes(&self) -> bool {
        self.sms.iter().chain(&self.email).any(|provider| matches!(provider, ProviderSettings::Console))
    }

    fn is_console_alone(&self) -> bool {
        self.sms.iter().chain(&self.email).all(|provider| matches!(provider, ProviderSettings::Console))
    }

    pub fn twilio(&self) -> Option<&TwilioSettings> {
        self.sms.iter().find_map(|provider| match provider {
            ProviderSettings::Twilio(settings) => Some(settings),
            _ => None,
        })
    }
}

/// Everything that a provider may need, whether or not one is named.
struct Offered {
    twilio: Option<TwilioSettings>,
    webhook: Option<WebhookSettings>,
    smtp: Option<SmtpSettings>,
    sns: Option<ProviderSettings>,
}

pub(super) fn notify(from: &mut Reader, embedded: bool, server: &ServerSettings) -> NotifySettings {
    let offered = Offered { twilio: twilio(from, server), webhook: webhook(from), smtp: smtp(from), sns: sns(from) };
    let mut settings = NotifySettings {
        templates: templates(from),
        inbox: false,
        inbox_named: false,
        sms: providers(from, "notify.sms", embedded, &offered),
        email: providers(from, "notify.email", embedded, &offered),
    };
    let by_default = embedded && server.address.ip().is_loopback() && settings.is_console_alone();
    let named: Option<bool> =
        from.parsed("notify.inbox", None, |text| text.parse().map(Some).map_err(|_| "is neither true nor false"));
    if named == Some(true) && !settings.is_console_alone() {
        from.problem("notify.inbox", "tells every code: it is for the console alone, not beside a real provider");
    }
    settings.inbox = named.unwrap_or(by_default);
    settings.inbox_named = named == Some(true);
    settings
}

/// Beside `PostgreSQL` the console must be asked for, for it prints codes.
fn providers(from: &mut Reader, setting: &'static str, embedded: bool, offered: &Offered) -> Vec<ProviderSettings> {
    let Some(names) = from.list(setting) else {
        if !embedded {
            from.problem(setting, "must be given beside PostgreSQL: `console` prints codes");
        }
        return vec![ProviderSettings::Console];
    };
    let mut providers = Vec::new();
    for name in names {
        let provider = match (name.as_str(), setting) {
            ("console", _) => Ok(ProviderSettings::Console),
            ("twilio", "notify.sms") => offered
                .twilio
                .clone()
                .map(ProviderSettings::Twilio)
                .ok_or("twilio needs its settings, ENROLL__NOTIFY__TWILIO__…"),
            ("webhook", _) => offered
                .webhook
                .clone()
                .map(ProviderSettings::Webhook)
                .ok_or("webhook needs its URL and SECRET, ENROLL__NOTIFY__WEBHOOK__…"),
            ("smtp", "notify.email") => offered
                .smtp
                .clone()
                .map(ProviderSettings::Smtp)
                .ok_or("smtp needs its URL and FROM, ENROLL__NOTIFY__SMTP__…"),
            ("sns", "notify.sms") if cfg!(feature = "aws") => {
                offered.sns.clone().ok_or("sns needs its REGION, ENROLL__NOTIFY__SNS__REGION")
            }
            ("sns", "notify.sms") => Err("is left out of this build (the cargo feature `aws`)"),
            _ => Err("names no provider of this channel"),
        };
        match provider {
            Ok(provider) => providers.push(provider),
            Err(problem) => from.problem(setting, format!("{name}: {problem}")),
        }
    }
    providers
}

fn twilio(from: &mut Reader, server: &ServerSettings) -> Option<TwilioSettings> {
    let account_sid = from.text("notify.twilio.account_sid");
    let auth_token = from.text("notify.twilio.auth_token").map(Into::into);
    let api_key = from.text("notify.twilio.api_key");
    let api_secret = from.text("notify.twilio.api_secret").map(Into::into);
    let number = from.text("notify.twilio.from");
    let service = from.text("notify.twilio.messaging_service_sid");
    let base_url = from.text("notify.twilio.base_url");
    let account_sid = account_sid?;
    let sender = match (number, service) {
        (Some(number), None) => TwilioSender::Number(number),
        (None, Some(sid)) => TwilioSender::MessagingService(sid),
        _ => {
            from.problem("notify.twilio.from", "or MESSAGING_SERVICE_SID is needed, and not both");
            return None;
        }
    };
    let api_key = api_key.zip(api_secret);
    if auth_token.is_none() && api_key.is_none() {
        from.problem("notify.twilio.auth_token", "is needed, or API_KEY and API_SECRET");
    }
    let reported = auth_token.is_some() && server.public_url_given;
    Some(TwilioSettings {
        account_sid,
        auth_token,
        api_key,
        sender,
        base_url: base_url.unwrap_or_else(|| "https://api.twilio.com".to_owned()).trim_end_matches('/').to_owned(),
        callback: reported.then(|| format!("{}/providers/twilio/status", server.public_url)),
    })
}

fn smtp(from: &mut Reader) -> Option<SmtpSettings> {
    let sender = from.parsed("notify.smtp.from", None, |text| text.parse().map(Some).map_err(|_| "is no mailbox"));
    let url = from.text("notify.smtp.url")?;
    let Some(sender) = sender else {
        from.problem("notify.smtp.from", "is needed beside the URL, as Enroll <no-reply@example.com>");
        return None;
    };
    SmtpSettings::parse(&url, sender).map_err(|error| from.problem("notify.smtp.url", error)).ok()
}

#[cfg(feature = "aws")]
fn sns(from: &mut Reader) -> Option<ProviderSettings> {
    let settings = crate::notify::SnsSettings {
        endpoint_url: from.text("notify.sns.endpoint_url"),
        sender_id: from.text("notify.sns.sender_id"),
        entity_id: from.text("notify.sns.entity_id"),
        template_id: from.text("notify.sns.template_id"),
        region: from.text("notify.sns.region")?,
    };
    Some(ProviderSettings::Sns(settings))
}

#[cfg(not(feature = "aws"))]
fn sns(from: &mut Reader) -> Option<ProviderSettings> {
    from.not_built(&["notify.sns.region", "notify.sns.endpoint_url"], "");
    from.not_built(&["notify.sns.sender_id", "notify.sns.entity_id", "notify.sns.template_id"], "");
    None
}

/// Checked whole, so that no message fails for its words.
fn templates(from: &mut Reader) -> Templates {
    let settings = TemplateSettings {
        brand: from.parsed("notify.brand", "Enroll".to_owned(), |text| {
            let fits = text.chars().count() <= 40 && !text.chars().any(char::is_control);
            fits.then(|| text.to_owned()).ok_or("is longer than 40 characters, or has a control character")
        }),
        default_locale: from.text("notify.default_locale").unwrap_or_else(|| "en".to_owned()).to_ascii_lowercase(),
        webotp_domain: from.parsed("notify.webotp_domain", None, |text| {
            let is_host = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c));
            is_host.then(|| Some(text.to_owned())).ok_or("is no host, as example.com")
        }),
    };
    let dir = from.text("notify.templates_dir");
    let plain = TemplateSettings { default_locale: "en".to_owned(), ..settings.clone() };
    Templates::load(settings, dir.as_deref().map(std::path::Path::new)).unwrap_or_else(|error| {
        from.problem(if dir.is_some() { "notify.templates_dir" } else { "notify.default_locale" }, error);
        Templates::load(plain, None).expect("the built-in words are good")
    })
}

fn webhook(from: &mut Reader) -> Option<WebhookSettings> {
    let url = from.parsed("notify.webhook.url", None, |text| {
        let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        url.map(Some).ok_or("is no http:// or https:// URL")
    });
    let secret = from.parsed("notify.webhook.secret", None, |text| WebhookSecret::parse(text).map(Some));
    let previous_secret =
        from.parsed("notify.webhook.previous_secret", None, |text| WebhookSecret::parse(text).map(Some));
    Some(WebhookSettings { url: url?, secret: secret?, previous_secret })
}
