use std::{collections::BTreeMap, path::PathBuf};

use config::{Config, Environment, File, FileFormat, Value, ValueKind};

use super::Problem;

/// Where settings come from, the later over the earlier.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// `None`: `enroll.toml` where there is one.
    pub file: Option<PathBuf>,
    pub dot_env: BTreeMap<String, String>,
    pub environment: BTreeMap<String, String>,
}

/// The three that every platform calls so.
const URLS: [(&str, &str); 3] =
    [("DATABASE_URL", "database.url"), ("REDIS_URL", "redis.url"), ("AMQP_URL", "events.url")];

impl Sources {
    /// The process' own: its working directory and its environment.
    pub fn of_process(file: Option<PathBuf>) -> Result<Self, Problem> {
        let dot_env = match dotenvy::from_filename_iter(".env") {
            Err(dotenvy::Error::Io(_)) => BTreeMap::new(),
            Err(error) => return Err(Problem::new(".env", error)),
            Ok(lines) => lines.collect::<Result<_, _>>().map_err(|error| Problem::new(".env", error))?,
        };
        Ok(Self {
            file,
            dot_env,
            environment: std::env::vars_os()
                .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
                .collect(),
        })
    }

    /// All that was set, by the setting's name (`server.address`).
    pub(super) fn read(&self) -> Result<BTreeMap<String, String>, Problem> {
        let mut config = Config::builder();
        config = match &self.file {
            Some(path) => config.add_source(File::from(path.clone()).format(FileFormat::Toml)),
            None => config.add_source(File::new("enroll.toml", FileFormat::Toml).required(false)),
        };
        for variables in [&self.dot_env, &self.environment] {
            for (name, setting) in URLS {
                if let Some(url) = variables.get(name).filter(|url| !url.is_empty()) {
                    config = config.set_override(setting, url.clone()).map_err(|error| Problem::new(name, error))?;
                }
            }
            let ours = Environment::with_prefix("ENROLL")
                .prefix_separator("__")
                .separator("__")
                .source(Some(variables.clone().into_iter().collect()));
            config = config.add_source(ours);
        }
        let built = config.build().map_err(|error| Problem::new("the settings", error))?;
        let mut flat = BTreeMap::new();
        flatten("", built.cache, &mut flat);
        Ok(flat)
    }
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
