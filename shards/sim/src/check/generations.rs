//! generation-disjoint: in one generation of a classic group a partition is one member's, and one member leads.

use std::collections::BTreeMap;

use super::grouped::Grouped;
use super::{Checker, Seen, Verdict};

#[derive(Default)]
pub struct Generations {
    owners: BTreeMap<(String, i32, i32), String>,
    /// A generation that nobody synced is forgotten by a crash, and its number used again: leaders are told apart by lives.
    leaders: BTreeMap<(String, i32, u32), String>,
}

impl Checker for Generations {
    fn see(&mut self, _at: u64, seen: &Seen<'_>) -> Verdict {
        match seen {
            Seen::Grouped(Grouped::Led { group, generation, boot, member }) => {
                let place = (group.to_string(), *generation, *boot);
                let leader = self.leaders.entry(place).or_insert_with(|| member.to_string());
                if leader != member {
                    return Err(format!("{group}: {leader} and {member} both lead generation {generation}"));
                }
            }
            Seen::Grouped(Grouped::Synced { group, generation, owner, partitions }) => {
                for partition in *partitions {
                    let place = (group.to_string(), *generation, *partition);
                    let before = self.owners.entry(place).or_insert_with(|| owner.to_string());
                    if before != owner {
                        let what = format!("partition {partition} in generation {generation}");
                        return Err(format!("{group}: {before} and {owner} both own {what}"));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}
