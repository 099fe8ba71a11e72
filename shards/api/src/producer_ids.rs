//! Producer ids that this core got from the controller and has not given out yet.

use heddle_model::ProducerId;

/// How many ids are fetched at once.
pub(crate) const BLOCK: u32 = 1000;

#[derive(Default)]
pub(crate) struct ProducerIds {
    /// First id and count of each block, the next one last.
    blocks: Vec<(i64, u32)>,
}

impl ProducerIds {
    /// An id that nobody else has. `None`: ask the controller for a block.
    pub fn take(&mut self) -> Option<ProducerId> {
        let (first, left) = self.blocks.last_mut()?;
        let id = ProducerId(*first);
        *first += 1;
        *left -= 1;
        if *left == 0 {
            self.blocks.pop();
        }
        Some(id)
    }

    pub fn add(&mut self, first: ProducerId, count: u32) {
        if count > 0 {
            self.blocks.push((first.0, count));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_id_is_given_once() {
        let mut ids = ProducerIds::default();
        assert_eq!(ids.take(), None);
        ids.add(ProducerId(10), 2);
        ids.add(ProducerId(50), 1);
        ids.add(ProducerId(90), 0);
        let given: Vec<i64> = std::iter::from_fn(|| ids.take()).map(|id| id.0).collect();
        assert_eq!(given, [50, 10, 11]);
    }
}
