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
const PLAIN: [&str; 4] = ["DATABASE_URL", "REDIS_URL", "AMQP_URL", "RUST_LOG"];

impl Sources {
    /// Those of the process: its working directory and its environment.
    pub fn of_process(file: Option<PathBuf>) -> Result<Self, Problem> {
        let environment = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?)) // ours are all text
        });
        Ok(Self { file, dot_env: read_dot_env(Path::new("./.env"))?, environment: environment.collect() })
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

/// A line that cannot be read is reported by its number: it may hold a secret.
fn read_dot_env(path: &Path) -> Result<BTreeMap<String, String>, Problem> {
    let lines = match dotenvy::from_path_iter(path) {
        Err(dotenvy::Error::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(_) => return Err(Problem::new(".env", "cannot be read")),
        Ok(lines) => lines,
    };
    let mut read = BTreeMap::new();
    for (number, line) in lines.enumerate() {
        let (name, value) = line.map_err(|_| {
            let before = format!("the setting after {number} others cannot be read; quote a value with blanks in it");
            Problem::new(".env", before)
        })?;
        read.insert(name, value);
    }
    Ok(read)
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
