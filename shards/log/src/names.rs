//! Names of directories and files.

use heddle_model::Offset;

use crate::Identity;
use crate::segment::SegmentKey;

/// The directory of all replicas, below the data directory.
pub(crate) const REPLICAS: &str = "replicas";

/// The files of a segment.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Part {
    Log,
    Side,
    /// Digests of its spans, if its topic was compacted when they were written. Nothing in it is needed.
    Keys,
}

impl Part {
    pub(crate) const ALL: [Part; 3] = [Part::Log, Part::Side, Part::Keys];

    fn extension(self) -> &'static str {
        match self {
            Part::Log => "log",
            Part::Side => "side",
            Part::Keys => "keys",
        }
    }
}

pub(crate) fn directory(id: &Identity) -> String {
    format!("{REPLICAS}/{}-{}", id.replica, id.store)
}

pub(crate) fn path(id: &Identity, key: SegmentKey, part: Part) -> String {
    format!("{}/{:020}-{}.{}", directory(id), key.base.0, key.generation, part.extension())
}

/// The segment and part that a file name stands for; `None` if no log wrote it.
pub(crate) fn parse(name: &str) -> Option<(SegmentKey, Part)> {
    let (stem, extension) = name.split_once('.')?;
    let part = match extension {
        "log" => Part::Log,
        "side" => Part::Side,
        "keys" => Part::Keys,
        _ => return None,
    };
    let (base, generation) = stem.split_once('-')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if base.len() != 20 || !is_number(base) || !is_number(generation) {
        return None;
    }
    let key = SegmentKey { base: Offset(base.parse().ok()?), generation: generation.parse().ok()? };
    Some((key, part))
}

#[cfg(test)]
mod tests {
    use heddle_model::ReplicaNumber;

    use super::*;

    #[test]
    fn names_round_trip() {
        let id = Identity { owner: 1, replica: ReplicaNumber(7), store: 2 };
        for (base, generation) in [(0, 0), (i64::MAX, u32::MAX), (123_456, 3)] {
            let key = SegmentKey { base: Offset(base), generation };
            for part in Part::ALL {
                let path = path(&id, key, part);
                let name = path.strip_prefix("replicas/7-2/").expect("the directory comes first");
                assert_eq!(parse(name), Some((key, part)));
            }
        }
    }

    #[test]
    fn strange_names_are_no_segments() {
        for name in ["", "x", "0-0.log", "00000000000000000000-.log", "00000000000000000000-0.tmp", "-1-0.log"] {
            assert_eq!(parse(name), None, "{name}");
        }
        assert_eq!(parse("99999999999999999999-0.log"), None, "beyond every offset");
        assert_eq!(parse("00000000000000000000-+1.log"), None);
    }
}
