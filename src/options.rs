//! What the broker runs with: flags over the configuration file over defaults.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use heddle_controller::BrokerConfig;

use crate::address::{self, Address};
use crate::cli::StartFlags;
use crate::file::{File, Given};
use crate::level::LogLevel;
use crate::machine::Machine;
use crate::size::Size;

#[derive(Debug)]
pub struct Options {
    pub data_dir: PathBuf,
    pub kafka_addr: SocketAddr,
    pub advertised_host: String,
    pub advertised_port: u16,
    pub admin_addr: SocketAddr,
    pub shards: u16,
    /// To pin cores to; fewer than shards: none is pinned.
    pub cpus: Vec<usize>,
    /// Of all cores together. Bytes.
    pub memory: u64,
    pub node_id: i32,
    pub spin_us: u64,
    pub log_level: LogLevel,
    pub kafka: BrokerConfig,
    pub trace_writes: Option<PathBuf>,
    /// What was asked for and this machine does not have, a line each. It is tried all the same.
    pub doubts: Vec<String>,
}

/// The smallest memory a core runs with. Bytes.
const MEMORY_A_CORE_MIN: u64 = 64 << 20;
const MEMORY_A_CORE_DEFAULT: u64 = 1 << 30;

impl Options {
    /// # Errors
    /// One line that says which option is wrong and what was expected.
    pub fn read(flags: &StartFlags) -> Result<Options, String> {
        let file = File::read(flags.config.as_deref())?;
        let machine = Machine::look();
        let mut kafka = kafka_configs(&file, &flags.set)?;
        let shards = shards(&file, flags.shards, &machine)?;
        let memory = memory(&file, flags.memory, shards, machine.memory)?;
        let kafka_addr = kafka_addr(&file, flags.kafka_addr.clone(), &kafka)?;
        let (advertised_host, advertised_port) = advertised(&file, flags.advertised_addr.clone(), &kafka, &kafka_addr)?;
        let kafka_addr = kafka_addr.addr;
        let admin_addr = match file.given(flags.admin_addr.clone(), "admin_addr")? {
            Some(given) => Address::resolve(&given.name, &given.value)?.addr,
            None => SocketAddr::from(([127, 0, 0, 1], 9644)),
        };
        let data_dir = data_dir(&file, flags.data_dir.as_deref(), &kafka)?;
        let node_id = node_id(&file, flags.node_id, &kafka)?;
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
        let doubts = doubts(shards, memory, &machine);
        Ok(Options {
            data_dir,
            kafka_addr,
            advertised_host,
            advertised_port,
            admin_addr,
            shards,
            cpus: machine.own_cpus(),
            memory,
            node_id,
            spin_us: file.number(flags.spin_us, "spin_us")?.map_or(0, |given| given.value),
            log_level: file.given(flags.log_level, "log_level")?.map_or(LogLevel::Info, |given| given.value),
            kafka: BrokerConfig::parse(kafka).map_err(|e| e.to_string())?,
            trace_writes: flags.trace_writes.clone(),
            doubts,
        })
    }

    /// Where the data is, by the same rules, for who needs no more than that.
    ///
    /// # Errors
    /// As `read`.
    pub fn data_dir(config: Option<&Path>, flag: Option<&Path>) -> Result<PathBuf, String> {
        let file = File::read(config)?;
        data_dir(&file, flag, &kafka_configs(&file, &[])?)
    }
}

fn shards(file: &File, flag: Option<u16>, machine: &Machine) -> Result<u16, String> {
    match file.number(flag, "shards")? {
        Some(Given { value: 0 | 1025.., name }) => Err(format!("{name}: expected a number of cores from 1 to 1024")),
        Some(given) => Ok(given.value),
        None => Ok(machine.cores().clamp(1, 1024)),
    }
}

fn memory(file: &File, flag: Option<Size>, shards: u16, machine: u64) -> Result<u64, String> {
    let (cores, least) = (u64::from(shards), MEMORY_A_CORE_MIN * u64::from(shards));
    match file.given(flag, "memory")? {
        Some(given) if given.value.0 < least => {
            let least = least >> 20;
            Err(format!("{}: expected at least 64MiB a core, that is {least}MiB for {shards} cores", given.name))
        }
        Some(given) => Ok(given.value.0),
        None => Ok((machine / 4).clamp(least, MEMORY_A_CORE_DEFAULT * cores)),
    }
}

fn doubts(shards: u16, memory: u64, machine: &Machine) -> Vec<String> {
    let mut doubts = Vec::new();
    if shards > machine.cores() {
        let cpus = machine.cores();
        doubts.push(format!(
            "{shards} cores are asked for, and there are CPUs for {cpus}: they will wait for each other"
        ));
    }
    if memory > machine.memory {
        let (asked, there) = (Size(memory), machine.memory >> 20);
        doubts.push(format!(
            "memory of {asked} is asked for, and there are {there}MiB: the kernel may kill this process"
        ));
    }
    doubts
}

fn kafka_addr(file: &File, flag: Option<String>, kafka: &BTreeMap<String, String>) -> Result<Address, String> {
    let (name, text) = match (file.given(flag, "kafka_addr")?, kafka.get("listeners")) {
        (Some(given), _) => (given.name, given.value),
        (None, Some(listeners)) => {
            let address = plaintext("listeners", listeners)?;
            // No host means all addresses.
            let whole = if address.starts_with(':') { format!("0.0.0.0{address}") } else { address.to_owned() };
            (format!("listeners = {listeners}"), whole)
        }
        (None, None) => ("the default Kafka address".into(), "127.0.0.1:9092".into()),
    };
    Address::resolve(&name, &text)?.with_port(&name)
}

/// The address that clients are told: as given, or the one listened on, by the machine's name if that is all addresses.
fn advertised(
    file: &File,
    flag: Option<String>,
    kafka: &BTreeMap<String, String>,
    kafka_addr: &Address,
) -> Result<(String, u16), String> {
    match (file.given(flag, "advertised_addr")?, kafka.get("advertised.listeners")) {
        (Some(given), _) => address::split(&given.name, &given.value),
        (None, Some(listeners)) => {
            let name = format!("advertised.listeners = {listeners}");
            address::split(&name, plaintext("advertised.listeners", listeners)?)
        }
        (None, None) if kafka_addr.addr.ip().is_unspecified() => {
            let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
            let host = host.ok_or("the machine has no host name to advertise; give --advertised-addr HOST:PORT")?;
            Ok((host, kafka_addr.addr.port()))
        }
        (None, None) => Ok((kafka_addr.host.clone(), kafka_addr.addr.port())),
    }
}

fn data_dir(file: &File, flag: Option<&Path>, kafka: &BTreeMap<String, String>) -> Result<PathBuf, String> {
    if let Some(dir) = flag {
        return Ok(dir.to_path_buf());
    }
    match (file.given::<String>(None, "data_dir")?, kafka.get("log.dirs")) {
        (Some(given), _) => Ok(PathBuf::from(given.value)),
        (None, Some(dirs)) if dirs.contains(',') => Err(format!("log.dirs = {dirs}: expected one directory")),
        (None, Some(dir)) => Ok(PathBuf::from(dir)),
        (None, None) => Ok(PathBuf::from("heddle-data")),
    }
}

fn node_id(file: &File, flag: Option<i32>, kafka: &BTreeMap<String, String>) -> Result<i32, String> {
    let of_kafka = kafka.get("node.id").or(kafka.get("broker.id").filter(|id| id.trim() != "-1"));
    let (id, name) = match (file.number(flag, "node_id")?, of_kafka) {
        (Some(given), _) => (Some(given.value), given.name),
        (None, Some(text)) => (text.trim().parse().ok(), format!("node.id = {text}")),
        (None, None) => return Ok(1),
    };
    id.filter(|id| *id >= 0).ok_or_else(|| format!("{name}: expected a number from 0 to {}", i32::MAX))
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

fn endpoint(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use std::fs;

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
        let name = path.display();
        for (wrong, said) in [
            ("shards = 0", "shards = 0: expected a number"),
            ("memory = \"1MiB\"", "memory = 1MiB: expected at least"),
            ("kafka_addr = \"here\"", "kafka_addr = here: expected HOST:PORT"),
            ("log_level = \"loud\"", "log_level = loud: "),
            ("node_id = -3", "node_id = -3: expected a number"),
            ("shards = \"two\"", "shards = two: expected a number ("),
            ("node_id = 99999999999", "node_id = 99999999999: expected a number ("),
        ] {
            fs::write(&path, wrong).unwrap();
            let text = Options::read(&flags).unwrap_err();
            assert!(text.starts_with(&format!("{name}: {said}")), "{text}");
        }
        fs::write(&path, "shards = 1\n\n[kafka\n").unwrap();
        let text = Options::read(&flags).unwrap_err();
        assert!(text.starts_with(&format!("{name}, line 3: ")), "{text}");
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn more_than_the_machine_has_is_said() {
        let machine = Machine { cpus: vec![0, 1], quota: None, memory: 4 << 30 };
        assert_eq!(doubts(2, 4 << 30, &machine), [""; 0]);
        let said = doubts(3, 5 << 30, &machine);
        assert!(said[0].starts_with("3 cores are asked for, and there are CPUs for 2"), "{said:?}");
        assert!(said[1].starts_with("memory of 5GiB is asked for, and there are 4096MiB"), "{said:?}");
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
        let advertised = |listen: &str, told: Option<&str>| {
            let flags = StartFlags {
                kafka_addr: Some(listen.into()),
                advertised_addr: told.map(String::from),
                ..StartFlags::default()
            };
            Options::read(&flags).map(|options| (options.advertised_host, options.advertised_port))
        };
        let any = "127.0.0.1:9092";
        assert_eq!(advertised(any, Some("broker.example:19092")), Ok(("broker.example".into(), 19092)));
        assert_eq!(advertised(any, Some("[::1]:9092")), Ok(("::1".into(), 9092)));
        assert_eq!(advertised(any, None), Ok(("127.0.0.1".into(), 9092)));
        assert_eq!(advertised("localhost:9092", None), Ok(("localhost".into(), 9092)), "a name stays one");
        assert!(advertised(any, Some("broker.example")).unwrap_err().contains("HOST:PORT"));
        assert_ne!(advertised("127.0.0.1:0", None).unwrap().1, 0);
    }
}
