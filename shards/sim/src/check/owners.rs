//! one-owner: no two members of a group, of either protocol, hold a partition at once. A member holds what it was given until
//! it says that it gave it up, or until its session may have ended.

use std::collections::BTreeMap;

use super::grouped::Grouped;
use super::{Checker, Seen, Verdict};

struct Claim {
    partitions: Vec<i32>,
    until_us: u64,
}

#[derive(Default)]
pub struct Owners {
    claims: BTreeMap<(String, String), Claim>,
}

impl Checker for Owners {
    fn see(&mut self, _at: u64, seen: &Seen<'_>) -> Verdict {
        let Seen::Grouped(Grouped::Claims { group, member, partitions, now_us, until_us }) = seen else {
            return Ok(());
        };
        if until_us <= now_us {
            // It stalled: what it believes to hold may be another's by now.
            self.claims.remove(&(group.to_string(), member.to_string()));
            return Ok(());
        }
        let claim = Claim { partitions: partitions.to_vec(), until_us: *until_us };
        let me = (group.to_string(), member.to_string());
        let others =
            self.claims.iter().filter(|(who, claim)| who.0 == *group && **who != me && claim.until_us > *now_us);
        for ((_, other), held) in others {
            if let Some(partition) = partitions.iter().find(|partition| held.partitions.contains(partition)) {
                return Err(format!("{group}: {member} and {other} both hold partition {partition}"));
            }
        }
        self.claims.insert(me, claim);
        Ok(())
    }
}
