//! Where settings come from.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use config::{Config, Environment, File, FileFormat, Value, ValueKind};

use super::Problem;

/// Where settings come from; the later override the earlier.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// `None`: `enroll.toml` where there is one.
    pub file: Option<PathBuf>,
    /// The variables of `.env`.
    pub dot_env: BTreeMap<String, String>,
    /// The variables of the environment.
    pub environment: BTreeMap<String, String>,
}

/// Named as every platform names them, without our prefix.
const PLAIN: [&str; 6] =
    ["DATABASE_URL", "DATABASE_DIRECT_URL", "REDIS_URL", "AMQP_URL", "RUST_LOG", "OTEL_EXPORTER_OTLP_ENDPOINT"];

impl Sources {
    /// Those of the process: its working directory and its environment.
    pub fn of_process(file: Option<PathBuf>) -> Result<Self, Problem> {
        let environment = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?)) // ours are all text
        });
        Ok(Self { file, dot_env: read_dot_env(Path::new("./.env"))?, environment: environment.collect() })
    }

    /// The variables of the process that hold our settings, passwords among them.
    pub fn names_of_secrets() -> impl Iterator<Item = std::ffi::OsString> {
        let is_ours = |name: &str| name.starts_with("ENROLL_") || PLAIN[..4].contains(&name);
        std::env::vars_os().map(|(name, _)| name).filter(move |name| name.to_str().is_some_and(is_ours))
    }

    /// Variables that were meant for us, with the names that we read.
    pub(super) fn misspelled(&self, known: &[&str]) -> Vec<(String, Option<String>)> {
        let variables = self.environment.keys().chain(self.dot_env.keys());
        let wrong = variables.filter(|name| name.starts_with("ENROLL_") && !name.starts_with("ENROLL__"));
        let plain = |name: &str| name.to_uppercase().replace(['_', '.'], "");
        wrong
            .map(|name| {
                let meant = known.iter().find(|known| plain(known) == plain(&name["ENROLL_".len()..]));
                (name.clone(), meant.map(|known| Problem::new(*known, "").variable()))
            })
            .collect()
    }

    /// The values that are set, by the setting's name (`server.address`).
    pub(super) fn read(&self) -> Result<BTreeMap<String, String>, Problem> {
        let mut config = Config::builder();
        config = match &self.file {
            Some(path) => config.add_source(File::from(path.clone()).format(FileFormat::Toml)),
            None => config.add_source(File::new("enroll.toml", FileFormat::Toml).required(false)),
        };
        for variables in [&self.dot_env, &self.environment] {
            for name in PLAIN {
                if let Some(value) = variables.get(name).filter(|value| !value.is_empty()) {
                    let set = config.set_override(name.to_lowercase(), value.clone());
                    config = set.map_err(|error| Problem::new(name, error))?;
                }
                let prefixed = format!("ENROLL__{name}");
                if variables.contains_key(&prefixed) {
                    return Err(Problem::new(
                        prefixed.to_lowercase().replace("enroll__", ""),
                        "must be set without ENROLL__",
                    ));
                }
            }
            let ours = Environment::with_prefix("ENROLL")
                .prefix_separator("__")
                .separator("__")
                .source(Some(variables.clone().into_iter().collect()));
            config = config.add_source(ours);
        }
        let built = config.build().map_err(|error| Problem::new("the settings' file", error))?;
        let mut flat = BTreeMap::new();
        flatten("", built.cache, &mut flat);
        Ok(flat)
    }
}

/// A line that cannot be read is reported by its number and name: its value may be a secret.
fn read_dot_env(path: &Path) -> Result<BTreeMap<String, String>, Problem> {
    let text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(_) => return Err(Problem::new(".env", "cannot be read")),
        Ok(text) => text,
    };
    let text = text.trim_start_matches('\u{feff}');
    let variables = dotenvy::from_read_iter(text.as_bytes());
    variables.collect::<Result<_, _>>().map_err(|error| {
        let dotenvy::Error::LineParse(wrong, _) = error else { return Problem::new(".env", "cannot be read") };
        let (place, line) = text.lines().enumerate().find(|(_, line)| line.contains(wrong.trim())).unwrap_or_default();
        let (number, name) = (place + 1, line.split('=').next().unwrap_or_default().trim());
        Problem::new(format!(".env, line {number} ({name})"), "put quotes around the value")
    })
}

fn flatten(prefix: &str, value: Value, into: &mut BTreeMap<String, String>) {
    match value.kind {
        ValueKind::Table(table) => {
            for (key, value) in table {
                let name = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
                flatten(&name, value, into);
            }
        }
        ValueKind::Array(items) => {
            let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
            into.insert(prefix.to_owned(), items.join(","));
        }
        _ => drop(into.insert(prefix.to_owned(), value.to_string())),
    }
}
