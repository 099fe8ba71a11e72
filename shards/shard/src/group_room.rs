//! The group coordinator of one partition of `__consumer_offsets`, as a coordinator that a host can carry.

use std::sync::Arc;

use heddle_controller::{BrokerConfig, Image};
use heddle_group as group;
use heddle_group::{
    Assignor, Bookmark, Context, GroupId, GroupOverrides, GroupSettings, Groups, GroupsPage, Migration, Soft,
    TopicName, Topics,
};
use heddle_model::{Mono, Now, Ticket, TopicId};

use crate::host::{Coordinator, Decided};

pub struct GroupRoom {
    settings: GroupSettings,
    groups: Groups,
    soft: Soft,
    image: Arc<Image>,
    /// The version of the image that last changed any topic.
    topics_version: u64,
}

impl GroupRoom {
    pub fn new(image: Arc<Image>) -> GroupRoom {
        let settings = settings_of(image.config());
        let topics_version = image.version;
        GroupRoom { groups: Groups::new(settings.clone()), settings, soft: Soft::default(), image, topics_version }
    }

    /// `topics_changed`: since the image before. If not, groups have nothing to look at.
    pub fn on_image(&mut self, image: &Arc<Image>, topics_changed: bool) {
        if topics_changed {
            self.topics_version = image.version;
        }
        if !Arc::ptr_eq(image.config(), self.image.config()) {
            self.settings = settings_of(image.config());
            self.groups.configure(self.settings.clone());
        }
        self.image = image.clone();
    }

    /// For metrics: see `Groups::survey`.
    pub fn survey(&self, from: &Bookmark, items_max: usize) -> GroupsPage {
        self.groups.survey(&self.soft, from, items_max)
    }

    /// See `Soft::cancel`.
    pub fn cancel(&mut self, group: &str, ticket: Ticket, instead: Ticket) {
        self.soft.cancel(GroupId::new(group), ticket, instead);
    }

    fn decided(decision: group::Decision) -> Decided<group::Answer> {
        assert!(decision.producer.is_none(), "offsets are committed in transactions only once there are transactions");
        Decided {
            records: decision.records.into_iter().map(|entry| (entry.key, entry.value)).collect(),
            answers: decision.answers,
        }
    }
}

/// Kafka's broker configs, as the coordinator takes them.
fn settings_of(broker: &BrokerConfig) -> GroupSettings {
    GroupSettings {
        group_min_session_timeout_ms: broker.int("group.min.session.timeout.ms"),
        group_max_session_timeout_ms: broker.int("group.max.session.timeout.ms"),
        group_max_size: usize::try_from(broker.int("group.max.size")).unwrap_or(0),
        group_initial_rebalance_delay_ms: broker.int("group.initial.rebalance.delay.ms"),
        offset_metadata_max_bytes: usize::try_from(broker.int("offset.metadata.max.bytes")).unwrap_or(0),
        offsets_retention_ms: broker.number("offsets.retention.minutes").saturating_mul(60_000),
        offsets_retention_check_interval_ms: broker.number("offsets.retention.check.interval.ms"),
        group_consumer_heartbeat_interval_ms: broker.int("group.consumer.heartbeat.interval.ms"),
        group_consumer_session_timeout_ms: broker.int("group.consumer.session.timeout.ms"),
        group_consumer_min_heartbeat_interval_ms: broker.int("group.consumer.min.heartbeat.interval.ms"),
        group_consumer_max_heartbeat_interval_ms: broker.int("group.consumer.max.heartbeat.interval.ms"),
        group_consumer_min_session_timeout_ms: broker.int("group.consumer.min.session.timeout.ms"),
        group_consumer_max_session_timeout_ms: broker.int("group.consumer.max.session.timeout.ms"),
        group_consumer_assignment_interval_ms: broker.int("group.consumer.assignment.interval.ms"),
        group_consumer_min_assignment_interval_ms: broker.int("group.consumer.min.assignment.interval.ms"),
        group_consumer_max_assignment_interval_ms: broker.int("group.consumer.max.assignment.interval.ms"),
        group_consumer_assignors: assignors(broker.text("group.consumer.assignors").unwrap_or_default()),
        group_consumer_max_size: usize::try_from(broker.int("group.consumer.max.size")).unwrap_or(0),
        group_consumer_migration_policy: migration(broker.text("group.consumer.migration.policy").unwrap_or_default()),
        ..GroupSettings::default()
    }
}

fn migration(text: &str) -> Migration {
    match text.trim().to_ascii_lowercase().as_str() {
        "disabled" => Migration::Disabled,
        "downgrade" => Migration::Downgrade,
        "upgrade" => Migration::Upgrade,
        _ => Migration::Bidirectional,
    }
}

/// In the order of the text; each once.
fn assignors(text: &str) -> Vec<Assignor> {
    let mut known = Vec::new();
    for name in text.split(',').map(str::trim) {
        let named = [Assignor::Uniform, Assignor::Range].into_iter().find(|assignor| assignor.name() == name);
        known.extend(named.filter(|assignor| !known.contains(assignor)));
    }
    known
}

impl Coordinator for GroupRoom {
    type Ask = group::Ask;
    type Answer = group::Answer;

    fn loading() -> group::Answer {
        group::Answer::Refused(group::Refusal::Loading)
    }

    fn not_coordinator() -> group::Answer {
        group::Answer::Refused(group::Refusal::NotCoordinator)
    }

    fn interrupted() -> group::Answer {
        group::Answer::Refused(group::Refusal::NotCoordinator)
    }

    fn decide(&mut self, now: Now, ask: group::Ask, ticket: Ticket, entropy: u128) -> Decided<group::Answer> {
        let topics = Known { image: &self.image, version: self.topics_version };
        let context = Context { now, topics: &topics, entropy };
        GroupRoom::decided(self.groups.decide(context, ask, ticket, &mut self.soft))
    }

    fn replay(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), String> {
        self.groups.replay(key, value).map_err(|malformed| malformed.0.to_string())
    }

    fn after_replay(&mut self) -> Option<group::Answer> {
        None
    }

    fn tick(&mut self, now: Now, entropy: u128) -> Decided<group::Answer> {
        let topics = Known { image: &self.image, version: self.topics_version };
        let context = Context { now, topics: &topics, entropy };
        GroupRoom::decided(self.groups.tick(context, &mut self.soft))
    }

    fn next_deadline(&self) -> Option<Mono> {
        self.soft.next_deadline()
    }

    fn clear(&mut self) -> Vec<Ticket> {
        self.groups = Groups::new(self.settings.clone());
        std::mem::take(&mut self.soft).abandon()
    }

    fn on_loaded(&mut self, now: Now) {
        let topics = Known { image: &self.image, version: self.topics_version };
        let context = Context { now, topics: &topics, entropy: 0 };
        self.soft = self.groups.lead(context);
        // Some may have gone while the offsets were not in memory. A topic of the same name is another topic: it is not
        // read from where the old one was left.
        self.groups.sweep_unknown_topics(context, &mut self.soft);
    }

    fn on_resumed(&mut self, now: Now) {
        let topics = Known { image: &self.image, version: self.topics_version };
        self.groups.resume(Context { now, topics: &topics, entropy: 0 }, &mut self.soft);
    }
}

/// The image, as the coordinator asks about topics.
struct Known<'a> {
    image: &'a Image,
    version: u64,
}

impl Topics for Known<'_> {
    fn version(&self) -> u64 {
        self.version
    }

    fn by_name(&self, name: &str) -> Option<(TopicId, i32)> {
        self.image.topic(name).map(|topic| (topic.id, topic.partitions.len() as i32))
    }

    fn by_id(&self, id: TopicId) -> Option<(TopicName, i32)> {
        self.image.topic_by_id(id).map(|topic| (TopicName::new(&topic.name), topic.partitions.len() as i32))
    }

    fn each_name(&self, visit: &mut dyn FnMut(&str)) {
        self.image.topics().filter(|topic| !topic.internal).for_each(|topic| visit(&topic.name));
    }

    fn created(&self, name: &str) -> Option<(u64, TopicId)> {
        let topic = self.image.topic(name)?;
        Some((topic.partitions.first().map_or(0, |placement| placement.created), topic.id))
    }

    fn overrides(&self, group: &GroupId) -> GroupOverrides {
        let Some(own) = self.image.group_overrides(group.as_str()) else { return GroupOverrides::default() };
        // The controller takes numbers only.
        let ms = |name: &str| own.get(name).and_then(|text| text.trim().parse().ok());
        GroupOverrides {
            consumer_session_timeout_ms: ms("consumer.session.timeout.ms"),
            consumer_heartbeat_interval_ms: ms("consumer.heartbeat.interval.ms"),
            consumer_assignment_interval_ms: ms("consumer.assignment.interval.ms"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kafkas_texts_become_settings() {
        let given =
            [("group.consumer.assignors", "range, uniform,range"), ("group.consumer.migration.policy", "UPGRADE")];
        let given = given.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let settings = settings_of(&BrokerConfig::parse(given).expect("valid"));
        assert_eq!(settings.group_consumer_assignors, [Assignor::Range, Assignor::Uniform]);
        assert_eq!(settings.group_consumer_migration_policy, Migration::Upgrade);
        let nothing = settings_of(&BrokerConfig::default());
        assert_eq!(nothing, GroupSettings::default(), "Kafka's defaults stand in two places");
    }

    /// Configs, brokers and blocks of producer ids make new images too.
    #[test]
    fn only_a_change_of_topics_is_news_to_groups() {
        let image = |version| {
            let mut image = Image::empty(Arc::default());
            image.version = version;
            Arc::new(image)
        };
        let mut room = GroupRoom::new(image(3));
        let version = |room: &GroupRoom| Known { image: &room.image, version: room.topics_version }.version();
        assert_eq!(version(&room), 3);
        room.on_image(&image(4), false);
        assert_eq!((version(&room), room.image.version), (3, 4));
        room.on_image(&image(5), true);
        assert_eq!(version(&room), 5);
    }
}
