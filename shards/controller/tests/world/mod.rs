//! A controller with its log, driven by words: what the scripts are written in.

use std::fmt::Write;
use std::sync::Arc;

use heddle_controller::*;
use heddle_model::{NodeId, Now, TopicId};

pub struct World {
    config: Arc<BrokerConfig>,
    controller: Controller,
    log: Vec<Entry>,
    entropy: u128,
}

impl Default for World {
    fn default() -> World {
        World::with(&[])
    }
}

impl World {
    fn with(config: &[(&str, &str)]) -> World {
        let given = config.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let config = Arc::new(BrokerConfig::parse(given).expect("a valid config"));
        World { controller: Controller::new(config.clone()), config, log: Vec::new(), entropy: 0 }
    }

    /// `verb words.. name=value..`
    pub fn run(&mut self, command: &str) -> String {
        let mut words = command.split_whitespace();
        let verb = words.next().expect("a verb");
        let (pairs, names): (Vec<&str>, Vec<&str>) = words.partition(|word| word.contains('='));
        let pairs: Vec<(&str, &str)> = pairs.iter().filter_map(|pair| pair.split_once('=')).collect();
        match verb {
            "config" => {
                *self = World::with(&pairs);
                String::new()
            }
            "image" => self.image(),
            "describe" => self.describe(names[0], names.get(1).copied()),
            "restart" => self.restart(),
            _ => self.ask(ask(verb, &names, &pairs)),
        }
    }

    pub fn ask(&mut self, ask: Ask) -> String {
        self.entropy += 1;
        let decision = self.controller.decide(Now::default(), &ask, self.entropy);
        for entry in &decision.records {
            self.controller.replay(&entry.key, entry.value.as_deref()).expect("own records");
        }
        self.controller.check();
        let bytes: usize = decision.records.iter().map(|e| e.key.len() + e.value.as_ref().map_or(0, |v| v.len())).sum();
        assert!(bytes <= DECISION_BYTES_MAX);
        let mut out = answered(&decision.answer);
        if !decision.records.is_empty() {
            let kinds: Vec<String> = decision
                .records
                .iter()
                .map(|entry| format!("{}{}", if entry.value.is_some() { "" } else { "-" }, entry.key[0]))
                .collect();
            writeln!(out, "  records {}", kinds.join(" ")).expect("a string");
        }
        self.log.extend(decision.records);
        out
    }

    /// Replay the log on an empty machine, and go on with that.
    fn restart(&mut self) -> String {
        let mut fresh = Controller::new(self.config.clone());
        for entry in &self.log {
            fresh.replay(&entry.key, entry.value.as_deref()).expect("own records");
        }
        fresh.check();
        let same = fresh.image() == self.controller.image();
        self.controller = fresh;
        format!("  {} records, same image: {same}\n", self.log.len())
    }

    fn image(&self) -> String {
        let image = self.controller.image();
        let mut out = format!("  version {} cluster {}\n", image.version, image.cluster_id);
        for broker in image.brokers() {
            let rack = broker.rack.as_deref().unwrap_or("-");
            writeln!(out, "  broker {} {}:{} rack {rack}", broker.id, broker.host, broker.port).expect("a string");
        }
        for topic in image.topics() {
            let internal = if topic.internal { " internal" } else { "" };
            writeln!(out, "  topic {}{internal} {:?}", topic.name, topic.overrides).expect("a string");
            for (id, placement) in topic.placements().take(8) {
                let replicas: Vec<String> =
                    placement.replicas.iter().map(|r| format!("{}:#{}", r.voter.node, r.number)).collect();
                writeln!(out, "    {} since {}: {}", id.index, placement.created, replicas.join(" "))
                    .expect("a string");
            }
            if topic.partitions.len() > 8 {
                writeln!(out, "    .. {} partitions", topic.partitions.len()).expect("a string");
            }
        }
        for group in image.configured_groups() {
            let overrides = image.group_overrides(group).expect("it is listed");
            writeln!(out, "  group {group} {overrides:?}").expect("a string");
        }
        let removed: Vec<u64> = (0..100).filter(|n| image.is_removed(heddle_model::ReplicaNumber(*n))).collect();
        if !removed.is_empty() {
            writeln!(out, "  removed {removed:?}").expect("a string");
        }
        out
    }

    fn describe(&self, whose: &str, only: Option<&str>) -> String {
        let image = self.controller.image();
        let configs = match whose {
            "broker" => image.describe_broker(),
            "brokers" => image.describe_all_brokers(),
            group if group.starts_with("group:") => image.describe_group(&group["group:".len()..]),
            topic => image.describe_overrides(&image.topic(topic).expect("a topic").overrides),
        };
        let mut out = String::new();
        for config in configs.iter().filter(|config| only.is_none_or(|only| only == config.name)) {
            let value = config.value.as_deref().unwrap_or("null");
            writeln!(
                out,
                "  {}={value} {:?} {:?} read_only={}",
                config.name, config.source, config.kind, config.read_only
            )
            .expect("a string");
            for synonym in &config.synonyms {
                writeln!(
                    out,
                    "    {}={} {:?}",
                    synonym.name,
                    synonym.value.as_deref().unwrap_or("null"),
                    synonym.source
                )
                .expect("a string");
            }
        }
        out
    }
}

fn ask(verb: &str, names: &[&str], pairs: &[(&str, &str)]) -> Ask {
    let (special, configs): (Vec<_>, Vec<_>) = pairs
        .iter()
        .partition(|(name, _)| ["partitions", "rf", "rack", "assign", "host", "count", "op"].contains(name));
    let special = |name: &str| special.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
    let configs: Vec<(String, Option<String>)> =
        configs.iter().map(|(name, value)| (name.to_string(), (*value != "null").then(|| value.to_string()))).collect();
    let validate_only = names.contains(&"dry");
    let names: Vec<&str> = names.iter().copied().filter(|name| *name != "dry").collect();
    // 1,2/2,3 means partition 0 on brokers 1 and 2, partition 1 on 2 and 3.
    let assignments: Option<Vec<Vec<NodeId>>> = special("assign").map(|text| {
        let nodes = |list: &str| list.split(',').filter_map(|id| id.parse().ok()).map(NodeId).collect();
        text.split('/').map(nodes).collect()
    });
    match verb {
        "boot" => Ask::Boot {
            cluster_id_if_new: "test-cluster".into(),
            broker: Broker {
                id: NodeId(names[0].parse().expect("a node")),
                rack: special("rack").map(str::to_owned),
                host: special("host").unwrap_or("localhost").into(),
                port: 9092,
            },
        },
        "create" => {
            let topics = names.iter().map(|name| NewTopic {
                name: if *name == "''" { String::new() } else { name.to_string() },
                partitions: special("partitions").map_or(-1, |n| n.parse().expect("a count")),
                replication_factor: special("rf").map_or(-1, |n| n.parse().expect("a factor")),
                assignments: assignments.iter().flatten().cloned().enumerate().map(|(at, b)| (at as i32, b)).collect(),
                configs: configs.clone(),
            });
            Ask::CreateTopics { topics: topics.collect(), validate_only }
        }
        "delete" => Ask::DeleteTopics { topics: names.iter().map(|name| topic_ref(name)).collect() },
        "enlarge" => {
            let topics = names.iter().map(|name| MorePartitions {
                topic: name.to_string(),
                count: special("count").map_or(0, |n| n.parse().expect("a count")),
                assignments: assignments.clone(),
            });
            Ask::CreatePartitions { topics: topics.collect(), validate_only }
        }
        "alter" => {
            let change = match special("op") {
                None => Change::Replace(configs),
                Some(op) => Change::Edit(configs.into_iter().map(|(name, value)| edit(op, name, value)).collect()),
            };
            let resources = names.iter().map(|name| ConfigChange { resource: resource(name), change: change.clone() });
            Ask::AlterConfigs { resources: resources.collect(), validate_only }
        }
        "ids" => Ask::ProducerIds { count: special("count").map_or(1000, |n| n.parse().expect("a count")) },
        "ensure" if names == ["offsets"] => Ask::EnsureInternalTopic(InternalTopic::Offsets),
        "ensure" => Ask::EnsureInternalTopic(InternalTopic::Transactions),
        _ => panic!("unknown verb {verb}"),
    }
}

fn topic_ref(name: &str) -> TopicRef {
    match name.strip_prefix("id:") {
        Some(id) => TopicRef::Id(TopicId(u128::from_str_radix(id, 16).expect("hexadecimal"))),
        None => TopicRef::Name(name.to_owned()),
    }
}

fn resource(name: &str) -> Resource {
    if let Some(group) = name.strip_prefix("group:") {
        return Resource::Group(group.to_owned());
    }
    match name.strip_prefix("broker:") {
        Some("") => Resource::Broker(None),
        Some(id) => Resource::Broker(Some(NodeId(id.parse().expect("a node")))),
        None => Resource::Topic(name.to_owned()),
    }
}

fn edit(op: &str, name: String, value: Option<String>) -> Edit {
    let op = match op {
        "set" => EditOp::Set,
        "delete" => EditOp::Delete,
        "append" => EditOp::Append,
        "subtract" => EditOp::Subtract,
        _ => panic!("unknown operation {op}"),
    };
    Edit { name, op, value }
}

fn answered(answer: &Answer) -> String {
    let mut out = String::new();
    match answer {
        Answer::Booted { cluster_id } => out = format!("  booted in {cluster_id}\n"),
        Answer::CreatedTopics(topics) => {
            for topic in topics {
                let text = match &topic.result {
                    Ok(created) => format!(
                        "ok {:?} partitions {} rf {} {:?}",
                        created.id, created.partitions, created.replication_factor, created.overrides
                    ),
                    Err(refused) => refusal(refused),
                };
                writeln!(out, "  {}: {text}", topic.name).expect("a string");
            }
        }
        Answer::DeletedTopics(topics) => {
            for topic in topics {
                writeln!(out, "  {:?}: {}", topic.topic, result(&topic.result)).expect("a string");
            }
        }
        Answer::CreatedPartitions(topics) => {
            for topic in topics {
                writeln!(out, "  {}: {}", topic.name, result(&topic.result)).expect("a string");
            }
        }
        Answer::AlteredConfigs(resources) => {
            for (resource, altered) in resources {
                writeln!(out, "  {resource:?}: {}", result(altered)).expect("a string");
            }
        }
        Answer::ProducerIds { first, count } => out = format!("  producer ids {first} and {count} on\n"),
        Answer::Ensured { id, partitions } => out = format!("  ensured {id:?} partitions {partitions}\n"),
        Answer::Refused(refused) => out = format!("  {}\n", refusal(refused)),
    }
    out
}

fn result(result: &Result<(), Refused>) -> String {
    result.as_ref().map_or_else(refusal, |()| "ok".to_owned())
}

fn refusal(refused: &Refused) -> String {
    format!("{:?}: {}", refused.why, refused.text)
}
