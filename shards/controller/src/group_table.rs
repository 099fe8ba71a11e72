//! THE table of what a consumer group may configure for itself (KIP-848): each stands over a broker config, between two
//! others. Kafka's configs of share and of streams groups are not known here, as their groups are not.

use std::collections::BTreeMap;

use crate::broker_config::BrokerConfig;
use crate::config_kind::{Check, Kind, judge};
use crate::nearest::nearest;

pub struct GroupDef {
    pub name: &'static str,
    pub kind: Kind,
    pub check: Check,
    /// The broker config that a group without an own value follows.
    pub behind: &'static str,
    /// Broker configs: the least and the most that a group may ask for.
    pub min: &'static str,
    pub max: &'static str,
    pub documentation: &'static str,
}

/// In name order.
pub const GROUP_CONFIGS: &[GroupDef] = &[
    GroupDef {
        name: "consumer.assignment.interval.ms",
        kind: Kind::Int,
        check: Check::AtLeast(0),
        behind: "group.consumer.assignment.interval.ms",
        min: "group.consumer.min.assignment.interval.ms",
        max: "group.consumer.max.assignment.interval.ms",
        documentation: "The least time between two target assignments of the group.",
    },
    GroupDef {
        name: "consumer.heartbeat.interval.ms",
        kind: Kind::Int,
        check: Check::AtLeast(1),
        behind: "group.consumer.heartbeat.interval.ms",
        min: "group.consumer.min.heartbeat.interval.ms",
        max: "group.consumer.max.heartbeat.interval.ms",
        documentation: "The heartbeat interval given to members of the consumer protocol.",
    },
    GroupDef {
        name: "consumer.session.timeout.ms",
        kind: Kind::Int,
        check: Check::AtLeast(1),
        behind: "group.consumer.session.timeout.ms",
        min: "group.consumer.min.session.timeout.ms",
        max: "group.consumer.max.session.timeout.ms",
        documentation: "How long a silent member of the consumer protocol is kept.",
    },
];

const HEARTBEAT: &str = "consumer.heartbeat.interval.ms";
const SESSION: &str = "consumer.session.timeout.ms";

pub fn group_def(name: &str) -> Option<&'static GroupDef> {
    GROUP_CONFIGS.iter().find(|def| def.name == name)
}

/// Whether a group may have these values on this broker; `Err` is a sentence in Kafka's words.
pub fn check_group_configs(config: &BrokerConfig, values: &BTreeMap<String, String>) -> Result<(), String> {
    for (name, value) in values {
        let def = group_def(name).ok_or_else(|| {
            let near = nearest(name, GROUP_CONFIGS.iter().map(|def| def.name));
            format!("Unknown group config name: {name}{near}")
        })?;
        judge(def.kind, def.check, value)
            .map_err(|expected| format!("Invalid value {value} for configuration {name}: {expected}"))?;
    }
    let value_of = |def: &GroupDef| -> Result<i64, String> {
        match values.get(def.name) {
            Some(text) => text.trim().parse().map_err(|_| format!("{} is not a number", def.name)),
            None => Ok(config.number(def.behind)),
        }
    };
    for def in GROUP_CONFIGS.iter().filter(|def| values.contains_key(def.name)) {
        check_bounds(def.name, value_of(def)?, config, def)?;
    }
    let of = |name: &str| group_def(name).map_or(Ok(0), value_of);
    if of(SESSION)? <= of(HEARTBEAT)? {
        return Err(format!("{SESSION} must be greater than {HEARTBEAT}"));
    }
    Ok(())
}

/// Whether the broker's own values lie between its bounds; `Err` is a sentence in Kafka's words.
pub fn check_group_bounds(config: &BrokerConfig) -> Result<(), String> {
    for def in GROUP_CONFIGS {
        if config.number(def.max) < config.number(def.min) {
            return Err(format!("{} must be greater than or equal to {}", def.max, def.min));
        }
        check_bounds(def.behind, config.number(def.behind), config, def)?;
    }
    let of = |name: &str| group_def(name).map_or(("", 0), |def| (def.behind, config.number(def.behind)));
    let ((heartbeat, heartbeat_ms), (session, session_ms)) = (of(HEARTBEAT), of(SESSION));
    if heartbeat_ms >= session_ms {
        return Err(format!("{heartbeat} must be less than {session}"));
    }
    Ok(())
}

fn check_bounds(name: &str, value: i64, config: &BrokerConfig, def: &GroupDef) -> Result<(), String> {
    if value < config.number(def.min) {
        return Err(format!("{name} must be greater than or equal to {}", def.min));
    }
    if value > config.number(def.max) {
        return Err(format!("{name} must be less than or equal to {}", def.max));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    fn check(pairs: &[(&str, &str)]) -> Result<(), String> {
        check_group_configs(&BrokerConfig::default(), &map(pairs))
    }

    #[test]
    fn a_group_stays_between_the_brokers_bounds() {
        assert_eq!(check(&[(SESSION, "45000"), (HEARTBEAT, "15000")]), Ok(()));
        let session = |value| check(&[(SESSION, value)]).unwrap_err();
        assert!(session("44999").contains("greater than or equal to group.consumer.min.session.timeout.ms"));
        assert!(session("60001").contains("less than or equal to group.consumer.max.session.timeout.ms"));
        assert!(session("soon").contains("Not a number of type INT"));
        assert_eq!(check(&[("consumer.naps", "1")]), Err("Unknown group config name: consumer.naps".into()));
    }

    #[test]
    fn a_session_outlasts_a_heartbeat() {
        let wide =
            [("group.consumer.min.session.timeout.ms", "1"), ("group.consumer.max.heartbeat.interval.ms", "60000")];
        let config = BrokerConfig::parse(map(&wide)).expect("valid");
        let of = |session, heartbeat| check_group_configs(&config, &map(&[(SESSION, session), (HEARTBEAT, heartbeat)]));
        assert_eq!(of("6001", "6000"), Ok(()));
        assert!(of("6000", "6000").is_err());
        // What it does not set itself counts too.
        assert!(check_group_configs(&config, &map(&[(SESSION, "5000")])).is_err());
    }

    #[test]
    fn the_brokers_own_values_are_checked_at_start() {
        let refused = |pairs: &[(&str, &str)]| BrokerConfig::parse(map(pairs)).unwrap_err().text;
        let text = refused(&[("group.consumer.session.timeout.ms", "3000")]);
        assert!(text.contains("must be greater than or equal to group.consumer.min.session.timeout.ms"), "{text}");
        assert!(refused(&[("group.consumer.max.heartbeat.interval.ms", "1")]).contains("min.heartbeat"));
        let short = [("group.consumer.session.timeout.ms", "3000"), ("group.consumer.min.session.timeout.ms", "3000")];
        assert!(refused(&short).contains("must be less than group.consumer.session.timeout.ms"));
    }
}
