//! The words of the messages: a file a locale, each of which an operator's folder may replace.

mod segments;

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::Arc,
};

use minijinja::{Environment, UndefinedBehavior, context};
use serde::Deserialize;

use super::{Envelope, Message};
use crate::domain::{Channel, CodeMessage, Notice, NoticeKind, Outgoing, Purpose};

pub use segments::segments;

/// Renders messages; every template was tried at the start.
#[derive(Debug, Clone)]
pub struct Templates {
    settings: TemplateSettings,
    locales: Arc<HashMap<String, Words>>,
    html: Arc<str>,
}

#[derive(Debug, Clone)]
pub struct TemplateSettings {
    /// The name in every message.
    pub brand: String,
    /// For whom nothing is known, or whose language has no words here.
    pub default_locale: String,
    /// The host of the page that the code is typed into: browsers then fill it in there alone.
    pub webotp_domain: Option<String>,
}

/// A locale's file.
#[derive(Debug, Clone, Deserialize)]
struct Words {
    minute: String,
    minutes: String,
    seconds: String,
    #[serde(flatten)]
    messages: BTreeMap<String, Wording>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wording {
    subject: String,
    /// A text message as it is; an email's plain part.
    text: String,
}

const BUILT_IN: [(&str, &str); 5] = [
    ("en", include_str!("en.toml")),
    ("hi", include_str!("hi.toml")),
    ("ta", include_str!("ta.toml")),
    ("fr", include_str!("fr.toml")),
    ("es", include_str!("es.toml")),
];
const HTML: &str = include_str!("email.html");
const NOTICES: [NoticeKind; 3] = [NoticeKind::PasswordReset, NoticeKind::ContactRequested, NoticeKind::ContactChanged];

impl Templates {
    /// The built-in words, but for the files of `dir`: `LOCALE.toml` and `email.html`.
    ///
    /// # Errors
    ///
    /// The file, and what is wrong with it: it can't be read, lacks a message, or doesn't render.
    pub fn load(settings: TemplateSettings, dir: Option<&Path>) -> Result<Self, String> {
        let mut locales = HashMap::new();
        for (locale, text) in BUILT_IN {
            locales.insert(locale.to_owned(), read(locale, text)?);
        }
        let mut html = HTML.to_owned();
        for (name, text) in dir.map(files).transpose()?.unwrap_or_default() {
            match name.strip_suffix(".toml") {
                Some(locale) => drop(locales.insert(locale.to_ascii_lowercase(), read(locale, &text)?)),
                None if name == "email.html" => html = text,
                None => {} // a note of the operator's
            }
        }
        let templates = Self { settings, locales: Arc::new(locales), html: html.into() };
        if !templates.locales.contains_key(&templates.settings.default_locale) {
            return Err(format!("there are no words for {}", templates.settings.default_locale));
        }
        templates.try_all()?;
        Ok(templates)
    }

    pub fn brand(&self) -> &str {
        &self.settings.brand
    }

    pub fn render(&self, outgoing: &Outgoing, envelope: Envelope) -> Result<Message, String> {
        match outgoing {
            Outgoing::Code(code) => self.code(code, envelope),
            Outgoing::Notice(notice) => self.notice(notice, envelope),
        }
    }

    fn code(&self, code: &CodeMessage, envelope: Envelope) -> Result<Message, String> {
        let (locale, words) = self.words(code.locale.as_deref());
        let life = life(words, code.ttl_s)?;
        let (brand, otp) = (&self.settings.brand, &code.code);
        let values = context! { brand, code => otp, life, locale };
        let mut message = self.message(code.purpose.as_str(), words, &values, (&code.to, code.channel), envelope)?;
        if let (Channel::Sms, Some(domain)) = (code.channel, &self.settings.webotp_domain) {
            // WICG, origin-bound one-time codes: the last line, and nothing behind it.
            message.body = format!("{}\n\n@{domain} #{otp}", message.body);
        }
        message.otp = Some(code.code.clone());
        message.verification_id = Some(code.verification);
        Ok(message)
    }

    fn notice(&self, notice: &Notice, envelope: Envelope) -> Result<Message, String> {
        let (locale, words) = self.words(notice.locale.as_deref());
        let new_address = notice.new_address.as_deref().unwrap_or_default();
        let values = context! { brand => &self.settings.brand, new_address, locale };
        self.message(notice.notice.as_str(), words, &values, (&notice.to, notice.channel), envelope)
    }

    fn message(
        &self,
        kind: &'static str,
        words: &Words,
        values: &minijinja::Value,
        (to, channel): (&str, Channel),
        envelope: Envelope,
    ) -> Result<Message, String> {
        let wording = words.messages.get(kind).ok_or_else(|| format!("[{kind}] is missing"))?;
        let subject = fill("subject.txt", &wording.subject, values)?;
        let body = fill("text.txt", &wording.text, values)?;
        let html = match channel {
            Channel::Sms => None,
            Channel::Email => {
                let values = context! { subject => &subject, text => &body, ..values.clone() };
                Some(fill("email.html", &self.html, &values)?)
            }
        };
        let to = to.to_owned();
        Ok(Message { envelope, to, channel, purpose: kind, subject, body, html, otp: None, verification_id: None })
    }

    /// In the person's language, as near as there are words for: `hi-IN`, `hi`, then the default.
    fn words(&self, locale: Option<&str>) -> (&str, &Words) {
        let wanted = locale.unwrap_or_default().to_ascii_lowercase();
        let language = wanted.split('-').next().unwrap_or_default();
        let candidates = [wanted.as_str(), language, &self.settings.default_locale, "en"];
        let found = candidates.iter().find_map(|candidate| self.locales.get_key_value(*candidate));
        let (name, words) = found.expect("English is built in");
        (name, words)
    }

    fn try_all(&self) -> Result<(), String> {
        for locale in self.locales.keys() {
            let envelope =
                || Envelope { id: String::new(), number: 0, expires_at: crate::domain::Timestamp::default() };
            for (channel, to) in [(Channel::Sms, "+10000000000"), (Channel::Email, "a@example.com")] {
                let sample = |purpose| CodeMessage::sample(purpose, channel, to, locale);
                let notice = |notice| Notice {
                    to: to.to_owned(),
                    channel,
                    notice,
                    new_address: Some("n***@example.com".to_owned()),
                    locale: Some(locale.clone()),
                };
                let codes = Purpose::ALL.into_iter().map(|purpose| Outgoing::Code(sample(purpose)));
                let all = codes.chain(NOTICES.into_iter().map(|kind| Outgoing::Notice(notice(kind))));
                for outgoing in all {
                    let rendered = self.render(&outgoing, envelope()).map_err(|error| format!("{locale}: {error}"))?;
                    let shows_code = rendered.otp.as_ref().is_none_or(|otp| rendered.body.contains(otp.as_str()));
                    if !shows_code {
                        return Err(format!("{locale}: [{}] does not show {{{{ code }}}}", rendered.purpose));
                    }
                }
            }
        }
        Ok(())
    }
}

fn read(locale: &str, text: &str) -> Result<Words, String> {
    toml::from_str(text).map_err(|error| format!("{locale}.toml: {}", error.message()))
}

fn files(dir: &Path) -> Result<Vec<(String, String)>, String> {
    let problem = |error: std::io::Error| format!("{}: {error}", dir.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(problem)? {
        let path = entry.map_err(problem)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if path.extension().is_some_and(|end| end == "toml" || end == "html") {
            files.push((name, std::fs::read_to_string(&path).map_err(problem)?));
        }
    }
    Ok(files)
}

/// Escapes for HTML by the name's ending; a name that is not given is an error, never a gap.
fn fill(name: &str, template: &str, values: &minijinja::Value) -> Result<String, String> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(if name == "email.html" {
        UndefinedBehavior::Lenient // `code` is in codes' mails alone
    } else {
        UndefinedBehavior::Strict
    });
    environment.render_named_str(name, template, values).map_err(|error| error.to_string())
}

fn life(words: &Words, seconds: u64) -> Result<String, String> {
    let of = |template: &str, n: u64| fill("life.txt", template, &context! { n });
    match (seconds / 60, seconds % 60) {
        (1, 0) => of(&words.minute, 1),
        (minutes, 0) => of(&words.minutes, minutes),
        _ => of(&words.seconds, seconds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;

    fn settings() -> TemplateSettings {
        TemplateSettings { brand: "Acme".into(), default_locale: "en".into(), webotp_domain: None }
    }

    fn render(templates: &Templates, outgoing: &Outgoing) -> Message {
        let envelope = Envelope { id: String::new(), number: 1, expires_at: Timestamp::default() };
        templates.render(outgoing, envelope).unwrap()
    }

    fn sms(purpose: Purpose, locale: &str) -> Outgoing {
        Outgoing::Code(CodeMessage::sample(purpose, Channel::Sms, "+919876543210", locale))
    }

    #[test]
    fn texts_have_brand_code_and_life_in_one_segment_where_the_language_allows() {
        let templates = Templates::load(settings(), None).unwrap();
        for purpose in Purpose::ALL {
            for (locale, most) in [("en", 1), ("fr", 1), ("es", 1), ("hi", 2), ("ta", 3)] {
                let message = render(&templates, &sms(purpose, locale));
                assert!(message.body.contains("Acme") && message.body.contains("012345"), "{}", message.body);
                assert!(segments(&message.body) <= most, "{locale}: {}", message.body);
            }
        }
        assert!(render(&templates, &sms(Purpose::Login, "en")).body.contains("5 minutes"));
        assert!(render(&templates, &sms(Purpose::Login, "hi-IN")).body.contains("लॉग इन"));
        assert!(render(&templates, &sms(Purpose::Login, "de-DE")).body.contains("log in"), "the default");
        for (locale, text) in BUILT_IN.iter().filter(|(locale, _)| *locale != "en") {
            assert!(text.starts_with("# unreviewed\n"), "{locale}: nobody who speaks it has read it");
        }
    }

    #[test]
    fn a_text_ends_with_the_origin_that_it_is_bound_to() {
        let settings = TemplateSettings { webotp_domain: Some("example.com".into()), ..settings() };
        let templates = Templates::load(settings, None).unwrap();
        let message = render(&templates, &sms(Purpose::Login, "en"));
        assert!(message.body.ends_with("\n\n@example.com #012345"), "{}", message.body);
        assert_eq!(segments(&message.body), 1);
    }

    #[test]
    fn an_email_has_both_parts_and_is_escaped() {
        let settings = TemplateSettings { brand: "<Acme & Co>".into(), ..settings() };
        let templates = Templates::load(settings, None).unwrap();
        let code = CodeMessage::sample(Purpose::Registration, Channel::Email, "a@example.com", "en");
        let message = render(&templates, &Outgoing::Code(code));
        let html = message.html.unwrap();
        assert!(html.contains("&lt;Acme &amp; Co&gt;") && html.contains("012345") && !html.contains("<Acme"), "{html}");
        assert!(message.body.starts_with("<Acme & Co>: 012345"), "{}", message.body);
    }

    #[test]
    fn an_operators_folder_replaces_words_and_is_checked_at_the_start() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write("en.toml", &BUILT_IN[0].1.replace("is your code to log in", "lets you in"));
        write("de.toml", &BUILT_IN[0].1.replace("is your code to log in", "ist Ihr Code"));
        let templates = Templates::load(settings(), Some(dir.path())).unwrap();
        assert!(render(&templates, &sms(Purpose::Login, "en")).body.contains("lets you in"));
        assert!(render(&templates, &sms(Purpose::Login, "de-AT")).body.contains("ist Ihr Code"));
        for (text, told) in [
            ("minute = 1", "en.toml"),
            (&BUILT_IN[0].1.replace("[login]", "[logn]"), "[login] is missing"),
            (&BUILT_IN[0].1.replace("{{ code }} is your code to log", "is your code to log"), "[login] does not show"),
            (&BUILT_IN[0].1.replace("{{ life }}", "{{ lief }}"), "undefined"),
        ] {
            write("en.toml", text);
            let error = Templates::load(settings(), Some(dir.path())).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
    }
}
