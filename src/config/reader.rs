//! Reads single settings, and collects what is wrong with them.

use std::{collections::BTreeMap, fmt, time::Duration};

/// A problem of one setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Its name, as `server.address`.
    pub setting: String,
    /// The problem; it reads on after the name.
    pub message: String,
}

impl Problem {
    /// A problem of this setting.
    pub fn new(setting: impl Into<String>, message: impl fmt::Display) -> Self {
        Self { setting: setting.into(), message: message.to_string() }
    }
}

/// With the name that the setting has in the environment.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.variable(), self.message)
    }
}

impl Problem {
    /// The name that the setting has in the environment.
    pub(super) fn variable(&self) -> String {
        match self.setting.as_str() {
            plain @ ("database_url"
            | "database_direct_url"
            | "redis_url"
            | "amqp_url"
            | "rust_log"
            | "otel_exporter_otlp_endpoint") => plain.to_uppercase(),
            // Not a setting's name, but where settings come from.
            place if place.starts_with('.') || place.contains(' ') => place.to_owned(),
            other => format!("ENROLL__{}", other.replace('.', "__").to_uppercase()),
        }
    }
}

/// Takes settings one by one; what is left at the end is unknown.
pub(super) struct Reader {
    values: BTreeMap<String, String>,
    pub(super) problems: Vec<Problem>,
    pub(super) known: Vec<&'static str>,
}

impl Reader {
    pub(super) fn new(values: BTreeMap<String, String>) -> Self {
        Self { values, problems: Vec::new(), known: Vec::new() }
    }

    pub(super) fn problem(&mut self, setting: &str, message: impl fmt::Display) {
        self.problems.push(Problem::new(setting, message));
    }

    /// An empty value counts as none: `.env.example` is full of them.
    pub(super) fn text(&mut self, setting: &'static str) -> Option<String> {
        self.known.push(setting);
        self.values.remove(setting).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    pub(super) fn parsed<T, E: fmt::Display>(
        &mut self,
        setting: &'static str,
        default: T,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> T {
        match self.text(setting).map(|text| parse(&text)) {
            None => default,
            Some(Ok(value)) => value,
            Some(Err(error)) => {
                self.problem(setting, error);
                default
            }
        }
    }

    pub(super) fn number(&mut self, setting: &'static str, default: u64, range: std::ops::RangeInclusive<u64>) -> u64 {
        let (least, most) = (*range.start(), *range.end());
        self.parsed(setting, default, |text| {
            let number = text.parse::<u64>().ok().filter(|number| range.contains(number));
            number.ok_or_else(|| format!("must be a whole number from {least} to {most}"))
        })
    }

    pub(super) fn u32(&mut self, setting: &'static str, default: u32, range: std::ops::RangeInclusive<u32>) -> u32 {
        let range = u64::from(*range.start())..=u64::from(*range.end());
        u32::try_from(self.number(setting, default.into(), range)).unwrap_or(default)
    }

    pub(super) fn seconds(
        &mut self,
        setting: &'static str,
        default: u64,
        range: std::ops::RangeInclusive<u64>,
    ) -> Duration {
        Duration::from_secs(self.number(setting, default, range))
    }

    pub(super) fn flag(&mut self, setting: &'static str, default: bool) -> bool {
        self.parsed(setting, default, |text| text.parse().map_err(|_| "must be true or false"))
    }

    pub(super) fn list(&mut self, setting: &'static str) -> Option<Vec<String>> {
        let text = self.text(setting)?;
        Some(text.split(',').map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect())
    }

    pub(super) fn finish(mut self) -> (Vec<Problem>, Vec<&'static str>) {
        for setting in self.values.keys() {
            self.problems.push(Problem::new(setting.clone(), "unknown setting"));
        }
        (self.problems, self.known)
    }
}
