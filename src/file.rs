//! The configuration file, and where a value came from: whoever reads an error knows what to change.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::num::ParseIntError;
use std::path::Path;
use std::str::FromStr;

const KEYS: &[&str] = &[
    "data_dir",
    "kafka_addr",
    "advertised_addr",
    "admin_addr",
    "shards",
    "memory",
    "node_id",
    "spin_us",
    "log_level",
    "kafka",
];

/// A value, and what it is called where it was given: `--shards 3`, or `heddle.toml: shards = 3`.
pub struct Given<T> {
    pub value: T,
    pub name: String,
}

/// The file's values as text, Kafka's configs flattened to their dotted names.
#[derive(Default)]
pub struct File {
    name: String,
    values: BTreeMap<String, String>,
    pub kafka: BTreeMap<String, String>,
}

impl File {
    /// No path: no values.
    ///
    /// # Errors
    /// If the file cannot be read, is not TOML, or names what is no option.
    pub fn read(path: Option<&Path>) -> Result<File, String> {
        let mut file = File::default();
        let Some(path) = path else { return Ok(file) };
        file.name = path.display().to_string();
        let text = fs::read_to_string(path).map_err(|e| format!("--config {}: {e}", file.name))?;
        let table: toml::Table = text.parse().map_err(|e: toml::de::Error| {
            let before = e.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            format!("{}, line {}: {}", file.name, 1 + before.matches('\n').count(), e.message())
        })?;
        for (key, value) in &table {
            if !KEYS.contains(&key.as_str()) {
                return Err(format!("{}: unknown option '{key}'; expected one of {}", file.name, KEYS.join(", ")));
            }
            match value {
                toml::Value::Table(configs) if key == "kafka" => flatten("", configs, &mut file.kafka, &file.name)?,
                value => {
                    file.values.insert(key.clone(), scalar(value, key, &file.name)?);
                }
            }
        }
        Ok(file)
    }

    /// What the flag says, or else what the file says under `key`, the flag's name with underscores.
    ///
    /// # Errors
    /// If the file's text is no such value.
    pub fn given<T: FromStr<Err: Display> + Display>(
        &self,
        flag: Option<T>,
        key: &str,
    ) -> Result<Option<Given<T>>, String> {
        if let Some(value) = flag {
            let name = format!("--{} {value}", key.replace('_', "-"));
            return Ok(Some(Given { value, name }));
        }
        let Some(text) = self.values.get(key) else { return Ok(None) };
        let name = format!("{}: {key} = {text}", self.name);
        text.parse().map(|value| Some(Given { value, name })).map_err(|e| format!("{}: {key} = {text}: {e}", self.name))
    }

    /// As `given`, for a number.
    ///
    /// # Errors
    /// As `given`.
    pub fn number<T: FromStr<Err = ParseIntError> + Display>(
        &self,
        flag: Option<T>,
        key: &str,
    ) -> Result<Option<Given<T>>, String> {
        match self.values.get(key).map(|text| (text, text.parse::<T>())) {
            Some((text, Err(e))) if flag.is_none() => {
                Err(format!("{}: {key} = {text}: expected a number ({e})", self.name))
            }
            _ => self.given(flag, key),
        }
    }
}

fn flatten(prefix: &str, table: &toml::Table, into: &mut BTreeMap<String, String>, file: &str) -> Result<(), String> {
    for (key, value) in table {
        let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            toml::Value::Table(inner) => flatten(&name, inner, into, file)?,
            value => {
                into.insert(name.clone(), scalar(value, &name, file)?);
            }
        }
    }
    Ok(())
}

fn scalar(value: &toml::Value, key: &str, file: &str) -> Result<String, String> {
    match value {
        toml::Value::String(text) => Ok(text.clone()),
        toml::Value::Integer(number) => Ok(number.to_string()),
        toml::Value::Float(number) => Ok(number.to_string()),
        toml::Value::Boolean(yes) => Ok(yes.to_string()),
        _ => Err(format!("{file}: {key}: expected a text, a number, true or false")),
    }
}
