//! Records waiting for a frame: one lane a replica, in order within it; frames are filled fairly, in rounds.

use std::collections::VecDeque;

use heddle_model::ReplicaNumber;
use heddle_model::limits::{FRAME_PAYLOAD_BYTES, FRAME_ROUND_BYTES};
use rustc_hash::FxHashMap;

use crate::record::{Body, Entry, Ordinal};

/// A lane that was once this busy gives its memory back when it is empty.
const LANE_KEPT: usize = 32;

#[derive(Default)]
struct Lane {
    /// The last ordinal handed out.
    last: Ordinal,
    waiting: VecDeque<Entry>,
    gone: bool,
}

#[derive(Default)]
pub(crate) struct Lanes {
    lanes: FxHashMap<ReplicaNumber, Lane>,
    /// Replicas with something waiting, next first.
    ready: VecDeque<ReplicaNumber>,
    bytes: usize,
}

impl Lanes {
    /// A replica whose last record had this ordinal; 0 if it is new.
    ///
    /// # Panics
    /// If the replica is here already.
    pub fn open(&mut self, replica: ReplicaNumber, last: Ordinal) {
        let before = self.lanes.insert(replica, Lane { last, ..Lane::default() });
        assert!(before.is_none(), "replica {replica} is in this journal already");
    }

    pub fn knows(&self, replica: ReplicaNumber) -> bool {
        self.lanes.contains_key(&replica)
    }

    /// Queue a record.
    ///
    /// # Panics
    /// If the replica is not here, or said that it is gone.
    pub fn push(&mut self, replica: ReplicaNumber, body: Body) -> Ordinal {
        let lane = self.lanes.get_mut(&replica).unwrap_or_else(|| panic!("replica {replica} is not in this journal"));
        assert!(!lane.gone, "replica {replica} left this journal");
        lane.gone = body == Body::Gone;
        lane.last = lane.last.next();
        let entry = Entry { replica, ordinal: lane.last, body };
        self.bytes += entry.weight();
        if lane.waiting.is_empty() {
            self.ready.push_back(replica);
        }
        lane.waiting.push_back(entry);
        lane.last
    }

    /// The replica's last record is durable and says that it is gone.
    pub fn close(&mut self, replica: ReplicaNumber) {
        let lane = self.lanes.remove(&replica);
        assert!(lane.is_none_or(|lane| lane.gone && lane.waiting.is_empty()), "gone is a replica's last record");
    }

    pub fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }

    /// Bytes that wait, with their directory rows.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Move the next frame's entries into `frame`: rounds of `FRAME_ROUND_BYTES` per replica up to
    /// `FRAME_PAYLOAD_BYTES`; a record larger than that travels alone.
    pub fn fill(&mut self, frame: &mut Vec<Entry>) {
        let mut bytes = 0;
        while let Some(replica) = self.ready.front().copied() {
            let lane = self.lanes.get_mut(&replica).expect("ready replicas have a lane");
            let mut round = 0;
            while let Some(entry) = lane.waiting.front() {
                let weight = entry.weight();
                if bytes > 0 && bytes + weight > FRAME_PAYLOAD_BYTES {
                    return;
                }
                if round > 0 && round + weight > FRAME_ROUND_BYTES {
                    break;
                }
                frame.extend(lane.waiting.pop_front());
                bytes += weight;
                round += weight;
                self.bytes -= weight;
            }
            self.ready.pop_front();
            if !lane.waiting.is_empty() {
                self.ready.push_back(replica);
            } else if lane.waiting.capacity() > LANE_KEPT {
                lane.waiting = VecDeque::new();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use heddle_model::{Offset, Term};

    use super::*;
    use crate::record::Record;
    use crate::testing::batch;

    fn append(len: usize) -> Body {
        Body::Record(Record::Append(batch(Term(1), 0, 1, len, 0), Offset(0)))
    }

    fn fill(lanes: &mut Lanes) -> Vec<(u64, u64)> {
        let mut frame = Vec::new();
        lanes.fill(&mut frame);
        frame.iter().map(|entry| (entry.replica.0, entry.ordinal.0)).collect()
    }

    #[test]
    fn a_busy_replica_does_not_starve_another() {
        let mut lanes = Lanes::default();
        lanes.open(ReplicaNumber(1), Ordinal(0));
        lanes.open(ReplicaNumber(2), Ordinal(7));
        for _ in 0..20 {
            lanes.push(ReplicaNumber(1), append(30_000));
        }
        assert_eq!(lanes.push(ReplicaNumber(2), append(100)), Ordinal(8));
        let first = fill(&mut lanes);
        assert_eq!(first[..4], [(1, 1), (1, 2), (2, 8), (1, 3)]);
        assert_eq!(first.len(), 9, "8 of 30,080 bytes and the small one fit into 256 KiB");
        assert_eq!(fill(&mut lanes), (9..17).map(|ordinal| (1, ordinal)).collect::<Vec<_>>());
        assert_eq!(fill(&mut lanes).len(), 4);
        assert!(lanes.is_empty());
        assert_eq!(lanes.bytes(), 0);
    }

    #[test]
    fn a_huge_record_travels_alone() {
        let mut lanes = Lanes::default();
        lanes.open(ReplicaNumber(1), Ordinal(0));
        lanes.push(ReplicaNumber(1), append(100));
        lanes.push(ReplicaNumber(1), append(3_000_000));
        lanes.push(ReplicaNumber(1), append(100));
        assert_eq!(fill(&mut lanes), [(1, 1)]);
        assert_eq!(fill(&mut lanes), [(1, 2)]);
        assert_eq!(fill(&mut lanes), [(1, 3)]);
    }

    #[test]
    #[should_panic(expected = "left this journal")]
    fn nothing_follows_gone() {
        let mut lanes = Lanes::default();
        lanes.open(ReplicaNumber(1), Ordinal(0));
        lanes.push(ReplicaNumber(1), Body::Gone);
        lanes.push(ReplicaNumber(1), append(100));
    }
}
