//! A decision in the making: what stands, what this decision has added to it so far, and how much room is left.

use std::collections::BTreeMap;

use heddle_model::{ProducerId, TopicId, base64_id};

use crate::ask::{Answer, Refusal, Refused};
use crate::controller::Controller;
use crate::image::{Broker, Image};
use crate::record::{Counters, Entry, Key, Value};
use crate::topic_name::collision_name;

/// The records of one decision never take more, so the batch they make always fits. Bytes of keys and values.
pub const DECISION_BYTES_MAX: usize = 1024 * 1024;

/// Kept free for what every decision ends with.
const COUNTERS_BYTES: usize = 64;

pub struct Draft<'a> {
    hard: &'a Controller,
    entropy: u128,
    ids: u64,
    pub counters: Counters,
    entries: Vec<Entry>,
    bytes: usize,
    /// Names created by this decision, by their collision name.
    names: BTreeMap<String, String>,
}

impl<'a> Draft<'a> {
    pub fn new(hard: &'a Controller, entropy: u128) -> Draft<'a> {
        Draft {
            hard,
            entropy,
            ids: 0,
            counters: hard.counters(),
            entries: Vec::new(),
            bytes: COUNTERS_BYTES,
            names: BTreeMap::new(),
        }
    }

    pub fn image(&self) -> &'a Image {
        self.hard.picture()
    }

    /// The image version this decision leads to.
    pub fn version(&self) -> u64 {
        self.hard.counters().version + 1
    }

    /// Take these records in, all or none.
    pub fn add(&mut self, entries: Vec<Entry>) -> Result<(), Refused> {
        let size = |entry: &Entry| entry.key.len() + entry.value.as_ref().map_or(0, |value| value.len()) + 16;
        let bytes = self.bytes + entries.iter().map(size).sum::<usize>();
        if bytes > DECISION_BYTES_MAX {
            return Err(Refusal::PolicyViolation.because("The request changes more than one request may change."));
        }
        self.bytes = bytes;
        self.entries.extend(entries);
        Ok(())
    }

    /// The topic, old or of this decision, whose name is the same but for `.` and `_`.
    pub fn colliding(&self, name: &str) -> Option<String> {
        if let Some(other) = self.names.get(&collision_name(name)) {
            return Some(other.clone());
        }
        let id = self.hard.colliding(name)?;
        self.image().topic_by_id(id).map(|topic| topic.name.to_string())
    }

    pub fn claim_name(&mut self, name: &str) {
        self.names.insert(collision_name(name), name.to_owned());
    }

    /// A random (version 4) UUID that no topic has or had.
    pub fn new_topic_id(&mut self) -> TopicId {
        loop {
            let bits = self.random();
            let id = bits & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
            // Kafka's tools take the base64 of an id as an argument, where a leading dash would be an option.
            let leading_dash = id >> 122 == 62;
            if !leading_dash && self.image().topic_by_id(TopicId(id)).is_none() {
                return TopicId(id);
            }
        }
    }

    /// The state's own counters go in, so that even the same entropy never gives the same id twice.
    fn random(&mut self) -> u128 {
        self.ids += 1;
        let salt = self.version().wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ self.ids.rotate_left(40);
        let high = mix((self.entropy >> 64) as u64 ^ salt);
        let low = mix(self.entropy as u64 ^ mix(salt) ^ high);
        u128::from(high) << 64 | u128::from(low)
    }

    pub fn boot(&mut self, cluster_id_if_new: &str, broker: &Broker) -> Answer {
        let image = self.image();
        let mut entries = Vec::new();
        let mut cluster_id = image.cluster_id.clone();
        if cluster_id.is_empty() {
            cluster_id =
                if cluster_id_if_new.is_empty() { base64_id(self.random()) } else { cluster_id_if_new.to_owned() };
            entries.push(Key::Cluster.set(&Value::Cluster(cluster_id.clone())));
        }
        if image.broker(broker.id) != Some(broker) {
            entries.push(Key::Broker(broker.id).set(&Value::Broker(broker.clone())));
        }
        match self.add(entries) {
            Ok(()) => Answer::Booted { cluster_id },
            Err(refused) => Answer::Refused(refused),
        }
    }

    pub fn producer_ids(&mut self, count: u32) -> Answer {
        let first = self.counters.next_producer;
        let last = first.checked_add(u64::from(count)).filter(|&end| end <= i64::MAX as u64);
        match (last, i64::try_from(first)) {
            (Some(end), Ok(first)) => {
                self.counters.next_producer = end;
                Answer::ProducerIds { first: ProducerId(first), count }
            }
            _ => Answer::Refused(Refusal::PolicyViolation.because("There are no producer ids left.")),
        }
    }

    /// The records of the decision; none if it changes nothing.
    pub fn finish(mut self) -> Vec<Entry> {
        if !self.entries.is_empty() {
            self.counters.version = self.version();
        }
        if self.counters != self.hard.counters() {
            self.entries.push(Key::Counters.set(&Value::Counters(self.counters)));
        }
        self.entries
    }
}

/// The finalizer of SplitMix64 (Steele, Lea, Flood 2014).
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
