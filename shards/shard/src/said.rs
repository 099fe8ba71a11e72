//! Trouble that lasts is said to the operator once in a while, not at every try.

use std::collections::BTreeMap;

use heddle_model::{Mono, PartitionId};

const AGAIN_MS: u64 = 60_000;
/// Partitions remembered; beyond that all is forgotten, and said anew.
const REMEMBERED: usize = 4096;

#[derive(Default)]
pub struct Said {
    last: BTreeMap<PartitionId, (String, Mono)>,
}

impl Said {
    /// Whether `what` was not said of the partition lately.
    pub fn is_news(&mut self, partition: PartitionId, what: &str, now: Mono) -> bool {
        if self.last.get(&partition).is_some_and(|(said, at)| said == what && now < at.plus_ms(AGAIN_MS)) {
            return false;
        }
        if self.last.len() >= REMEMBERED {
            self.last.clear();
        }
        self.last.insert(partition, (what.to_owned(), now));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lasts_is_said_once_a_minute() {
        let (mut said, here) = (Said::default(), PartitionId::CONTROLLER);
        let at = |ms| Mono::default().plus_ms(ms);
        assert!(said.is_news(here, "full", at(0)));
        assert!(!said.is_news(here, "full", at(59_999)));
        assert!(said.is_news(here, "broken", at(59_999)));
        assert!(said.is_news(here, "full", at(60_000)));
        assert!(!said.is_news(here, "full", at(119_999)));
        assert!(said.is_news(here, "full", at(120_000)));
    }
}
