//! one-life-per-epoch: each life of a node leads under an epoch of its own (a vote or term that was forgotten would be
//! used again, trap 29), and epochs rise with offsets.

use std::collections::BTreeMap;

use super::{ByPart, Checker, Seen, Verdict};

#[derive(Default)]
pub struct Epochs {
    /// In which life a record was sent; 0 if in several.
    lives: BTreeMap<u64, u32>,
    life_of: ByPart<BTreeMap<i32, u32>>,
}

impl Checker for Epochs {
    fn see(&mut self, _at: u64, seen: &Seen<'_>) -> Verdict {
        match seen {
            Seen::Sent { numbers, boot, .. } => {
                for number in *numbers {
                    let life = self.lives.entry(*number).or_insert(*boot);
                    *life = if *life == *boot { *boot } else { 0 };
                }
            }
            Seen::Read { part, batches, .. } => {
                let known = self.life_of.entry(*part).or_default();
                // The first leader's.
                let mut newest = 0;
                for batch in *batches {
                    let (base, epoch) = (batch.base, batch.epoch);
                    if epoch < newest {
                        return Err(format!("{part:?}: epoch {epoch} at offset {base} follows epoch {newest}"));
                    }
                    newest = epoch;
                    for (_, number) in &batch.records {
                        let life = self.lives.get(number).copied().unwrap_or(0);
                        if life == 0 {
                            continue;
                        }
                        let other = *known.entry(epoch).or_insert(life);
                        if other != life {
                            return Err(format!("{part:?}: epoch {epoch} was used in lives {other} and {life}"));
                        }
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}
