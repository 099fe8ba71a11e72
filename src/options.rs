//! What the broker runs with: flags over the configuration file over defaults.

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use heddle_controller::BrokerConfig;

use crate::cli::StartFlags;
use crate::size::Size;

#[derive(Debug)]
pub struct Options {
    pub data_dir: PathBuf,
    pub kafka_addr: SocketAddr,
    pub advertised_host: String,
    pub advertised_port: u16,
    pub admin_addr: SocketAddr,
    pub shards: u16,
    pub cpus: Vec<usize>,
    /// Of all cores together. Bytes.
    pub memory: u64,
    pub node_id: i32,
    pub spin_us: u64,
    pub kafka: BrokerConfig,
    pub trace_writes: Option<PathBuf>,
}

/// The smallest memory a core runs with. Bytes.
const MEMORY_A_CORE_MIN: u64 = 64 << 20;
const MEMORY_A_CORE_DEFAULT: u64 = 1 << 30;
const FILE_KEYS: &[&str] =
    &["data_dir", "kafka_addr", "advertised_addr", "admin_addr", "shards", "memory", "node_id", "spin_us", "kafka"];

impl Options {
    /// # Errors
    /// One line that says which option is wrong and what was expected.
    pub fn read(flags: &StartFlags) -> Result<Options, String> {
        let file = File::read(flags.config.as_deref())?;
        let cpus = allowed_cpus();
        let shards = flags.shards.map_or_else(|| file.parsed("shards"), |n| Ok(Some(n)))?.unwrap_or(cpus.len() as u16);
        if shards == 0 || shards > 1024 {
            return Err(format!("--shards {shards}: expected a number of cores from 1 to 1024"));
        }
        let mut kafka = kafka_configs(&file, &flags.set)?;
        let kafka_addr = match flags.kafka_addr {
            Some(addr) => Some(addr),
            None => file.parsed("kafka_addr")?,
        };
        let kafka_addr = match (kafka_addr, kafka.get("listeners")) {
            (Some(addr), _) => addr,
            (None, Some(listeners)) => listening(listeners)?,
            (None, None) => SocketAddr::from(([127, 0, 0, 1], 9092)),
        };
        let kafka_addr = with_port(kafka_addr)?;
        let advertised = flags.advertised_addr.clone().map_or_else(|| file.text("advertised_addr"), |a| Ok(Some(a)))?;
        let advertised = match (advertised, kafka.get("advertised.listeners")) {
            (None, Some(listeners)) => Some(plaintext("advertised.listeners", listeners)?.to_owned()),
            (advertised, _) => advertised,
        };
        let (advertised_host, advertised_port) = advertise(advertised.as_deref(), kafka_addr)?;
        let memory = flags.memory.map_or_else(|| file.parsed("memory"), |m| Ok(Some(m)))?;
        let memory = memory.map_or_else(|| default_memory(shards), |Size(bytes)| bytes);
        if memory < MEMORY_A_CORE_MIN * u64::from(shards) {
            let least = (MEMORY_A_CORE_MIN * u64::from(shards)) >> 20;
            return Err(format!("--memory: expected at least 64MiB a core, that is {least}MiB for {shards} cores"));
        }
        let data_dir: Option<PathBuf> =
            flags.data_dir.clone().map_or_else(|| file.parsed("data_dir"), |d| Ok(Some(d)))?;
        let data_dir = match (data_dir, kafka.get("log.dirs")) {
            (Some(dir), _) => dir,
            (None, Some(dirs)) if dirs.contains(',') => {
                return Err(format!("log.dirs = {dirs}: expected one directory"));
            }
            (None, Some(dir)) => PathBuf::from(dir),
            (None, None) => PathBuf::from("heddle-data"),
        };
        let node_id = flags.node_id.map_or_else(|| file.parsed("node_id"), |n| Ok(Some(n)))?;
        let node_id = match (node_id, kafka.get("node.id").or(kafka.get("broker.id").filter(|id| id.trim() != "-1"))) {
            (Some(id), _) => id,
            (None, Some(text)) => text
                .parse()
                .ok()
                .filter(|id| *id >= 0)
                .ok_or_else(|| format!("node.id = {text}: expected a number from 0 to {}", i32::MAX))?,
            (None, None) => 1,
        };
        // Administrators are shown what is in force, wherever it was given.
        let log_dirs = std::path::absolute(&data_dir).unwrap_or_else(|_| data_dir.clone());
        for (name, value) in [
            ("listeners", format!("PLAINTEXT://{kafka_addr}")),
            ("advertised.listeners", format!("PLAINTEXT://{}", endpoint(&advertised_host, advertised_port))),
            ("log.dirs", log_dirs.display().to_string()),
            ("node.id", node_id.to_string()),
            ("broker.id", node_id.to_string()),
        ] {
            kafka.insert(name.into(), value);
        }
        Ok(Options {
            data_dir,
            kafka_addr,
            advertised_host,
            advertised_port,
            admin_addr: match flags.admin_addr {
                Some(addr) => addr,
                None => file.parsed("admin_addr")?.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 9644))),
            },
            shards,
            cpus,
            memory,
            node_id,
            spin_us: flags.spin_us.map_or_else(|| file.parsed("spin_us"), |n| Ok(Some(n)))?.unwrap_or(0),
            kafka: BrokerConfig::parse(kafka).map_err(|e| e.to_string())?,
            trace_writes: flags.trace_writes.clone(),
        })
    }
}

/// The file's values as text, Kafka's configs flattened to their dotted names.
struct File {
    name: String,
    values: BTreeMap<String, String>,
    kafka: BTreeMap<String, String>,
}

impl File {
    fn read(path: Option<&Path>) -> Result<File, String> {
        let mut file = File { name: String::new(), values: BTreeMap::new(), kafka: BTreeMap::new() };
        let Some(path) = path else { return Ok(file) };
        file.name = path.display().to_string();
        let text = fs::read_to_string(path).map_err(|e| format!("--config {}: {e}", file.name))?;
        let table: toml::Table =
            text.parse().map_err(|e: toml::de::Error| format!("{}: {}", file.name, e.message()))?;
        for (key, value) in &table {
            if !FILE_KEYS.contains(&key.as_str()) {
                return Err(format!("{}: unknown option '{key}'; expected one of {}", file.name, FILE_KEYS.join(", ")));
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

    fn text(&self, key: &str) -> Result<Option<String>, String> {
        Ok(self.values.get(key).cloned())
    }

    fn parsed<T: FromStr>(&self, key: &str) -> Result<Option<T>, String>
    where
        T::Err: std::fmt::Display,
    {
        let Some(text) = self.values.get(key) else { return Ok(None) };
        text.parse().map(Some).map_err(|e| format!("{}: {key} = {text}: {e}", self.name))
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

/// Kafka's configs as given, all valid.
fn kafka_configs(file: &File, set: &[String]) -> Result<BTreeMap<String, String>, String> {
    let mut given = file.kafka.clone();
    for pair in set {
        let Some((name, value)) = pair.split_once('=') else {
            return Err(format!("--set {pair}: expected NAME=VALUE, as num.partitions=3"));
        };
        given.insert(name.trim().into(), value.trim().into());
    }
    BrokerConfig::parse(given.clone()).map_err(|e| e.to_string())?;
    Ok(given)
}

/// The address behind `PLAINTEXT://`, the only protocol spoken here.
fn plaintext<'a>(name: &str, listeners: &'a str) -> Result<&'a str, String> {
    let expected = || format!("{name} = {listeners}: expected one listener, as PLAINTEXT://127.0.0.1:9092");
    let address = listeners.trim().strip_prefix("PLAINTEXT://").ok_or_else(expected)?;
    if address.contains(',') { Err(expected()) } else { Ok(address) }
}

/// `listeners` in Kafka's words. No host means all addresses.
fn listening(listeners: &str) -> Result<SocketAddr, String> {
    let address = plaintext("listeners", listeners)?;
    let whole = if address.starts_with(':') { format!("0.0.0.0{address}") } else { address.to_owned() };
    whole.parse().map_err(|_| format!("listeners = {listeners}: expected PLAINTEXT://IP:PORT"))
}

fn endpoint(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Port 0 becomes a free port now, because clients are told a port before the cores listen on it.
fn with_port(addr: SocketAddr) -> Result<SocketAddr, String> {
    if addr.port() != 0 {
        return Ok(addr);
    }
    let found = TcpListener::bind(addr).and_then(|listener| listener.local_addr());
    found.map_err(|e| format!("--kafka-addr {addr}: no free port: {e}"))
}

fn advertise(given: Option<&str>, kafka_addr: SocketAddr) -> Result<(String, u16), String> {
    let Some(given) = given else {
        let host = if kafka_addr.ip().is_unspecified() {
            nix::unistd::gethostname()
                .ok()
                .and_then(|name| name.into_string().ok())
                .ok_or("the machine has no host name to advertise; give --advertised-addr HOST:PORT")?
        } else {
            kafka_addr.ip().to_string()
        };
        return Ok((host, kafka_addr.port()));
    };
    let expected = || format!("--advertised-addr {given}: expected HOST:PORT, as broker1.example:9092");
    let (host, port) = given.rsplit_once(':').ok_or_else(expected)?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = port.parse().map_err(|_| expected())?;
    if host.is_empty() { Err(expected()) } else { Ok((host.into(), port)) }
}

/// The CPUs that this process may run on.
fn allowed_cpus() -> Vec<usize> {
    use nix::sched::{CpuSet, sched_getaffinity};
    let set = sched_getaffinity(nix::unistd::Pid::from_raw(0)).unwrap_or_default();
    let cpus: Vec<usize> = (0..CpuSet::count()).filter(|cpu| set.is_set(*cpu).unwrap_or(false)).collect();
    if cpus.is_empty() { vec![0] } else { cpus }
}

fn default_memory(shards: u16) -> u64 {
    let total = fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| {
            text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse::<u64>().ok())
        })
        .map_or(4 << 30, |kib| kib << 10);
    let cores = u64::from(shards);
    (total / 4).clamp(MEMORY_A_CORE_MIN * cores, MEMORY_A_CORE_DEFAULT * cores)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(set: &[&str]) -> StartFlags {
        StartFlags { set: set.iter().map(|s| s.to_string()).collect(), ..StartFlags::default() }
    }

    #[test]
    fn defaults_serve_on_loopback() {
        let options = Options::read(&flags(&[])).unwrap();
        assert_eq!(options.kafka_addr.to_string(), "127.0.0.1:9092");
        assert_eq!((options.advertised_host.as_str(), options.advertised_port), ("127.0.0.1", 9092));
        assert_eq!(options.data_dir, Path::new("heddle-data"));
        assert!(options.shards >= 1);
    }

    #[test]
    fn kafkas_names_for_options_work_and_options_stand_over_them() {
        let set = ["listeners=PLAINTEXT://:9093", "advertised.listeners=PLAINTEXT://b.example:9094", "node.id=7"];
        let options = Options::read(&flags(&[&set[..], &["log.dirs=/somewhere"]].concat())).unwrap();
        assert_eq!(options.kafka_addr.to_string(), "0.0.0.0:9093");
        assert_eq!((options.advertised_host.as_str(), options.advertised_port), ("b.example", 9094));
        assert_eq!((options.node_id, options.data_dir.as_path()), (7, Path::new("/somewhere")));
        assert_eq!(options.kafka.text("broker.id"), Some("7"));

        let given =
            StartFlags { data_dir: Some("/here".into()), node_id: Some(2), ..flags(&["log.dirs=/a", "node.id=7"]) };
        let options = Options::read(&given).unwrap();
        assert_eq!((options.node_id, options.data_dir.as_path()), (2, Path::new("/here")));
        assert_eq!((options.kafka.text("node.id"), options.kafka.text("log.dirs")), (Some("2"), Some("/here")));
        assert_eq!(options.kafka.text("listeners"), Some("PLAINTEXT://127.0.0.1:9092"));
        for wrong in
            ["listeners=SSL://:9093", "listeners=PLAINTEXT://nowhere:1", "listeners=PLAINTEXT://:1,PLAINTEXT://:2"]
        {
            assert!(Options::read(&flags(&[wrong])).unwrap_err().contains("expected"), "{wrong}");
        }
        assert!(Options::read(&flags(&["log.dirs=/a,/b"])).unwrap_err().contains("one directory"));
    }

    #[test]
    fn a_file_gives_what_flags_do_not() {
        let dir = std::env::temp_dir().join(format!("heddle-options-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join("heddle.toml");
        fs::write(&path, "shards = 3\nmemory = \"1GiB\"\n[kafka]\nnum.partitions = 5\n\"log.retention.ms\" = 1000\n")
            .unwrap();
        let mut flags = flags(&["num.partitions=7"]);
        flags.config = Some(path.clone());
        let options = Options::read(&flags).unwrap();
        assert_eq!((options.shards, options.memory), (3, 1 << 30));
        assert_eq!(options.kafka.int("num.partitions"), 7, "flags stand over the file");
        assert_eq!(options.kafka.number("log.retention.ms"), 1000);

        fs::write(&path, "shard = 3\n").unwrap();
        let text = Options::read(&flags).unwrap_err();
        assert!(text.contains("unknown option 'shard'") && text.contains("shards"), "{text}");
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn what_is_wrong_is_named_with_what_was_expected() {
        let wrong = |set: &[&str]| Options::read(&flags(set)).unwrap_err();
        assert!(wrong(&["num.partitions"]).contains("expected NAME=VALUE"));
        assert!(wrong(&["num.partition=3"]).contains("num.partition"));
        assert!(wrong(&["num.partitions=none"]).contains("num.partitions"));
        let small = StartFlags { memory: Some(Size(1)), shards: Some(2), ..StartFlags::default() };
        assert!(Options::read(&small).unwrap_err().contains("128MiB for 2 cores"));
        let none = StartFlags { shards: Some(0), ..StartFlags::default() };
        assert!(Options::read(&none).unwrap_err().contains("from 1 to 1024"));
    }

    #[test]
    fn addresses_are_advertised_as_given() {
        let addr = SocketAddr::from(([127, 0, 0, 1], 9092));
        assert_eq!(advertise(Some("broker.example:19092"), addr), Ok(("broker.example".into(), 19092)));
        assert_eq!(advertise(Some("[::1]:9092"), addr), Ok(("::1".into(), 9092)));
        assert!(advertise(Some("broker.example"), addr).unwrap_err().contains("HOST:PORT"));
        assert_ne!(with_port(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap().port(), 0);
    }
}
