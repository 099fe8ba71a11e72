//! topics-kept: a topic that was created stays, with its id, until its deletion is asked for; one whose deletion was
//! acknowledged is gone for ever (traps 35, 36).

use std::collections::BTreeSet;

use super::{Checker, Seen, Verdict};

#[derive(Default)]
pub struct Topics {
    made: BTreeSet<usize>,
    delete_asked: BTreeSet<usize>,
    gone: BTreeSet<usize>,
}

impl Checker for Topics {
    fn see(&mut self, _at: u64, seen: &Seen<'_>) -> Verdict {
        match seen {
            Seen::TopicMade { topic } => {
                self.made.insert(*topic);
            }
            Seen::TopicDeleteAsked { topic, .. } => {
                self.delete_asked.insert(*topic);
            }
            Seen::TopicDeleted { topic } => {
                self.gone.insert(*topic);
            }
            Seen::TopicFound { name, topic, latest } => match topic {
                Some(topic) if self.gone.contains(topic) => {
                    return Err(format!("{name} is back as incarnation {topic}, which was deleted"));
                }
                Some(topic) if self.made.contains(latest) && topic != latest => {
                    return Err(format!("{name} is incarnation {topic}, not {latest}, which was created"));
                }
                None if self.made.contains(latest) && !self.delete_asked.contains(latest) => {
                    return Err(format!("{name} (incarnation {latest}) was created and is not there"));
                }
                _ => {}
            },
            Seen::TopicMissing { topic } if self.made.contains(topic) && !self.delete_asked.contains(topic) => {
                return Err(format!("incarnation {topic} was created, and is answered as unknown"));
            }
            _ => {}
        }
        Ok(())
    }
}
