//! The words of messages: a file for each locale, which a folder of the operator's may replace.

mod segments;

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::Arc,
};

use minijinja::{Environment, UndefinedBehavior, Value, context};
use serde::Deserialize;

use super::{Message, MessageMeta};
use crate::domain::{Address, Channel, CodeMessage, MessagePayload, Notice, NoticeKind, Purpose, Timestamp};

pub use segments::segments;

/// Renders messages. Every template is tried at the start.
#[derive(Debug, Clone)]
pub struct Templates {
    settings: TemplateSettings,
    locales: Arc<HashMap<String, Words>>,
    html: Arc<str>,
}

/// The settings of templates.
#[derive(Debug, Clone)]
pub struct TemplateSettings {
    /// The name in every message.
    pub brand: String,
    /// For people whose language is unknown or has no words here.
    pub default_locale: String,
    /// The host of the page that codes are typed into: browsers then fill them in there only.
    pub webotp_domain: Option<String>,
    /// An address or a URL where people are helped, for notices.
    pub support: Option<String>,
}

/// The file of a locale.
#[derive(Debug, Clone, Deserialize)]
struct Words {
    minute: String,
    minutes: String,
    seconds: String,
    #[serde(flatten)]
    messages: BTreeMap<String, MessageTemplate>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct MessageTemplate {
    /// A text message.
    sms: String,
    /// The subject of an email.
    subject: String,
    /// The text of an email, which stands under the brand and the code.
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

impl Templates {
    /// The built-in templates, and those of `dir`, which replace or add to them: `LOCALE.toml` and `email.html`.
    ///
    /// # Errors
    ///
    /// The file, and what is wrong with it: it cannot be read, lacks a message, or does not render.
    pub fn load(settings: TemplateSettings, dir: Option<&Path>) -> Result<Self, String> {
        let mut locales = HashMap::new();
        for (locale, text) in BUILT_IN {
            locales.insert(locale.to_owned(), parse(locale, text)?);
        }
        let mut html = HTML.to_owned();
        for (name, text) in dir.map(files).transpose()?.unwrap_or_default() {
            match name.strip_suffix(".toml") {
                Some(locale) => drop(locales.insert(locale.to_ascii_lowercase(), parse(locale, &text)?)),
                None if name == "email.html" => html = text,
                None => {} // a note of the operator's
            }
        }
        let templates = Self { settings, locales: Arc::new(locales), html: html.into() };
        if !templates.locales.contains_key(&templates.settings.default_locale) {
            return Err(format!("there are no templates for {}", templates.settings.default_locale));
        }
        templates.try_all()?;
        Ok(templates)
    }

    /// The name in every message.
    pub fn brand(&self) -> &str {
        &self.settings.brand
    }

    /// Renders a message in the person's language.
    pub fn render(&self, payload: &MessagePayload, meta: MessageMeta) -> Result<Message, String> {
        let (locale, code) = match payload {
            MessagePayload::Code(code) => (&code.locale, Some(code)),
            MessagePayload::Notice(notice) => (&notice.locale, None),
        };
        let (locale, words) = self.words(locale.as_deref());
        let brand = &self.settings.brand;
        let values = match payload {
            MessagePayload::Code(code) => {
                context! { brand, locale, code => &code.code, life => life(words, code.ttl_s)? }
            }
            MessagePayload::Notice(notice) => {
                let support = &self.settings.support;
                context! { brand, locale, address => &notice.address, new_address => &notice.address, support }
            }
        };
        let kind = payload.purpose();
        let template = words.messages.get(kind).ok_or_else(|| format!("[{kind}] is missing"))?;
        let mut message = Message {
            meta,
            to: payload.to().as_str().to_owned(),
            country: payload.to().country().unwrap_or_default(),
            channel: payload.to().channel(),
            locale: locale.to_owned(),
            brand: brand.clone(),
            purpose: kind,
            subject: fill("subject.txt", &template.subject, &values)?,
            body: String::new(),
            html: None,
            otp: code.map(|code| code.code.clone()),
            verification_id: code.map(|code| code.verification_id),
            app_hash: None,
        };
        match message.channel {
            Channel::Sms => {
                message.body = self.sms(template, &values, code)?;
                message.app_hash = code.and_then(|code| code.app_hash.clone());
            }
            Channel::Email => self.fill_email(&mut message, template, values, code)?,
        }
        Ok(message)
    }

    fn sms(&self, template: &MessageTemplate, values: &Value, code: Option<&CodeMessage>) -> Result<String, String> {
        let text = fill("sms.txt", &template.sms, values)?;
        let Some(code) = code else { return Ok(text) };
        Ok(match (&code.app_hash, &self.settings.webotp_domain) {
            // Android's SMS Retriever takes a text that ends with the app's hash.
            (Some(app), _) => format!("{text}\n\n{}", app.as_str()),
            // WICG, origin-bound one-time codes: the last line, and nothing after it.
            (None, Some(domain)) => format!("{text}\n\n@{domain} #{}", code.code),
            (None, None) => text,
        })
    }

    fn fill_email(
        &self,
        message: &mut Message,
        template: &MessageTemplate,
        values: Value,
        code: Option<&CodeMessage>,
    ) -> Result<(), String> {
        let text = fill("text.txt", &template.text, &values)?;
        let values = context! { subject => &message.subject, text => &text, ..values };
        message.html = Some(fill("email.html", &self.html, &values)?);
        message.body = code.map_or_else(|| text.clone(), |code| format!("{}\n\n{text}", code.code));
        Ok(())
    }

    /// The words nearest to the person's language, a subtag less at a time (RFC 4647, 3.4), then the default.
    fn words(&self, locale: Option<&str>) -> (&str, &Words) {
        let wanted = locale.unwrap_or_default().to_ascii_lowercase();
        let candidates = std::iter::successors(Some(wanted.as_str()), |tag| Some(tag.rsplit_once('-')?.0));
        let mut candidates = candidates.chain([self.settings.default_locale.as_str(), "en"]);
        let found = candidates.find_map(|candidate| self.locales.get_key_value(candidate));
        let (name, words) = found.expect("English is built in");
        (name, words)
    }

    fn try_all(&self) -> Result<(), String> {
        let addresses = ["+10000000000", "a@example.com"].map(|to| Address::from_stored(to.to_owned()));
        for (locale, to) in self.locales.keys().flat_map(|locale| addresses.iter().map(move |to| (locale, to))) {
            let notice = |notice| Notice {
                to: to.clone(),
                notice,
                address: Some("n***@example.com".to_owned()),
                locale: Some(locale.clone()),
            };
            let sample = |purpose| MessagePayload::Code(CodeMessage::sample(purpose, to, locale));
            let notices = NoticeKind::ALL.into_iter().map(|kind| MessagePayload::Notice(notice(kind)));
            for payload in Purpose::ALL.into_iter().map(sample).chain(notices) {
                let meta = MessageMeta { id: String::new(), number: 0, expires_at: Timestamp::default() };
                let rendered = self.render(&payload, meta).map_err(|error| format!("{locale}: {error}"))?;
                if rendered.otp.as_ref().is_some_and(|otp| !rendered.body.contains(otp.as_str())) {
                    return Err(format!("{locale}: [{}] does not show {{{{ code }}}}", rendered.purpose));
                }
            }
        }
        Ok(())
    }
}

fn parse(locale: &str, text: &str) -> Result<Words, String> {
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

/// Escapes for HTML by the ending of the name. A missing value is an error, never a gap.
fn fill(name: &str, template: &str, values: &Value) -> Result<String, String> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(if name == "email.html" {
        UndefinedBehavior::Lenient // only emails with a code have `code`
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
    use crate::domain::AppHash;

    fn settings() -> TemplateSettings {
        TemplateSettings { brand: "Acme".into(), default_locale: "en".into(), webotp_domain: None, support: None }
    }

    fn render(templates: &Templates, payload: &MessagePayload) -> Message {
        let meta = MessageMeta { id: String::new(), number: 1, expires_at: Timestamp::default() };
        templates.render(payload, meta).unwrap()
    }

    fn sms(purpose: Purpose, locale: &str) -> MessagePayload {
        MessagePayload::Code(CodeMessage::sample(purpose, &Address::from_stored("+919876543210".into()), locale))
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
    fn the_hash_of_an_app_stands_in_the_place_of_the_origin() {
        let settings = TemplateSettings { webotp_domain: Some("example.com".into()), ..settings() };
        let templates = Templates::load(settings, None).unwrap();
        let to = Address::from_stored("+919876543210".into());
        for purpose in Purpose::ALL {
            let code =
                CodeMessage { app_hash: AppHash::parse("FA+9qCX9VSu"), ..CodeMessage::sample(purpose, &to, "en") };
            let message = render(&templates, &MessagePayload::Code(code));
            assert!(message.body.ends_with("\n\nFA+9qCX9VSu") && !message.body.contains('@'), "{}", message.body);
            assert!(message.body.len() <= 140, "the SMS Retriever reads no more: {}", message.body);
            assert_eq!(segments(&message.body), 1);
            assert_eq!(message.app_hash.as_ref().map(AppHash::as_str), Some("FA+9qCX9VSu"));
        }
    }

    #[test]
    fn the_hash_of_an_app_is_counted_with_its_text() {
        // 94 units of the text, and 36 of the brand: two segments hold 134.
        let settings = TemplateSettings { brand: "A".repeat(36), ..settings() };
        let templates = Templates::load(settings, None).unwrap();
        let to = Address::from_stored("+919876543210".into());
        for (app_hash, expected) in [(None, 2), (AppHash::parse("FA+9qCX9VSu"), 3)] {
            let code = CodeMessage { app_hash, ..CodeMessage::sample(Purpose::Registration, &to, "hi") };
            let message = render(&templates, &MessagePayload::Code(code));
            assert_eq!(segments(&message.body), expected, "{}", message.body);
        }
    }

    #[test]
    fn an_email_is_the_same_with_the_hash_of_an_app() {
        let templates = Templates::load(settings(), None).unwrap();
        let to = Address::from_stored("a@example.com".into());
        let plain = CodeMessage::sample(Purpose::Login, &to, "en");
        let asked = CodeMessage { app_hash: AppHash::parse("FA+9qCX9VSu"), ..plain.clone() };
        let [plain, asked] = [plain, asked].map(|code| render(&templates, &MessagePayload::Code(code)));
        assert_eq!((asked.body, asked.html, asked.subject), (plain.body, plain.html, plain.subject));
        assert_eq!(asked.app_hash, None);
    }

    #[test]
    fn an_email_has_both_parts_and_is_escaped() {
        let settings = TemplateSettings { brand: "<Acme & Co>".into(), ..settings() };
        let templates = Templates::load(settings, None).unwrap();
        let to = Address::from_stored("a@example.com".into());
        let code = CodeMessage::sample(Purpose::Registration, &to, "en");
        let message = render(&templates, &MessagePayload::Code(code));
        let html = message.html.unwrap();
        assert!(html.contains("&lt;Acme &amp; Co&gt;") && html.contains("012345") && !html.contains("<Acme"), "{html}");
        assert!(message.body.starts_with("012345\n\nEnter this code"), "{}", message.body);
        assert_eq!(message.subject, "012345 is your <Acme & Co> code");
        assert_eq!(
            (html.matches("Acme &amp; Co").count(), html.matches("012345").count()),
            (2, 2),
            "title and text: {html}"
        );
    }

    #[test]
    fn the_nearest_locale_is_a_subtag_less_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["zh", "zh-Hant", "sr-Latn"] {
            let text = BUILT_IN[0].1.replace("is your code to log in", &format!("in {name}"));
            std::fs::write(dir.path().join(format!("{name}.toml")), text).unwrap();
        }
        let templates = Templates::load(settings(), Some(dir.path())).unwrap();
        for (locale, nearest) in [
            ("zh-Hant-TW", "in zh-Hant"),
            ("zh-Hans-CN", "in zh."),
            ("zh", "in zh."),
            ("sr-Latn-RS", "in sr-Latn"),
            ("sr-Cyrl-RS", "is your code"),
        ] {
            let body = render(&templates, &sms(Purpose::Login, locale)).body;
            assert!(body.contains(nearest), "{locale}: {body}");
        }
    }

    #[test]
    fn an_operators_folder_replaces_words_and_is_checked_at_the_start() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write("en.toml", &BUILT_IN[0].1.replace("your code to log in", "your key"));
        write("de.toml", &BUILT_IN[0].1.replace("is your code to log in", "ist Ihr Code"));
        let templates = Templates::load(settings(), Some(dir.path())).unwrap();
        assert!(render(&templates, &sms(Purpose::Login, "en")).body.contains("Acme: 012345 is your key"));
        assert!(render(&templates, &sms(Purpose::Login, "de-AT")).body.contains("Acme: 012345 ist Ihr Code"));
        for (text, expected) in [
            ("minute = 1", "en.toml"),
            (&BUILT_IN[0].1.replace("[login]", "[logn]"), "[login] is missing"),
            (&BUILT_IN[0].1.replace("{{ code }} is your code to log in", "log in"), "[login] does not show"),
            (&BUILT_IN[0].1.replace("{{ life }}", "{{ lief }}"), "undefined"),
        ] {
            write("en.toml", text);
            let error = Templates::load(settings(), Some(dir.path())).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
