//! Which versions of which API this broker can read. Which of them it serves is decided by the dispatch table in `api`.

use crate::newer;
use crate::shapes_table::REQUESTS;

/// The key of ApiVersions, which is special three times: always readable, answered with header 0, and never refused.
pub const API_VERSIONS: i16 = 18;
const PRODUCE: i16 = 0;

/// The version range of one API.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Versions {
    pub key: i16,
    /// The lowest version that is accepted.
    pub min: i16,
    pub max: i16,
    /// The lowest version that ApiVersions names. Below `min` only for Produce: librdkafka before 2.11.1 drops
    /// compression when it sees a minimum above 0, and Kafka 4 does the same for its sake.
    pub advertised_min: i16,
}

impl Versions {
    pub fn accepts(&self, version: i16) -> bool {
        (self.min..=self.max).contains(&version)
    }
}

/// The versions of an API that can be decoded; `None` for a key that no client of a broker sends.
pub fn versions_of(key: i16) -> Option<Versions> {
    let at = REQUESTS.binary_search_by_key(&key, |request| request.0).ok()?;
    let (key, min, max, _) = REQUESTS[at];
    let max = newer::newest(key).unwrap_or(max);
    Some(Versions { key, min, max, advertised_min: if key == PRODUCE { 0 } else { min } })
}

/// Whether this version of an API uses compact types and tagged fields (KIP-482), and so request header 2.
pub fn is_flexible(key: i16, version: i16) -> bool {
    match REQUESTS.binary_search_by_key(&key, |request| request.0) {
        Ok(at) => version >= REQUESTS[at].3.flexible_from,
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::*;
    use kafka_protocol::protocol::Message;

    use super::*;

    #[test]
    fn the_table_is_ascending_and_unique() {
        assert!(REQUESTS.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn ranges_are_those_of_the_decoder() {
        let expect = |key: i16, range: kafka_protocol::protocol::VersionRange| {
            let versions = versions_of(key).expect("served");
            assert_eq!((versions.min, versions.max), (range.min, range.max), "key {key}");
        };
        expect(0, ProduceRequest::VERSIONS);
        expect(1, FetchRequest::VERSIONS);
        expect(3, MetadataRequest::VERSIONS);
        expect(11, JoinGroupRequest::VERSIONS);
        expect(22, InitProducerIdRequest::VERSIONS);
        expect(75, DescribeTopicPartitionsRequest::VERSIONS);
    }

    #[test]
    fn versions_that_must_or_must_not_be_advertised() {
        assert_eq!(versions_of(0).map(|v| (v.advertised_min, v.min, v.max)), Some((0, 3, 13)));
        assert_eq!(versions_of(22).map(|v| v.max), Some(5), "version 6 is unstable");
        assert_eq!(versions_of(1).map(|v| (v.advertised_min, v.max)), Some((4, 18)));
        assert_eq!([2, 8, 9, 35].map(|key| versions_of(key).map_or(0, |v| v.max)), [11, 10, 10, 5]);
        for gone in [4, 5, 6, 7, 52, 62, 71, 72, 93] {
            assert_eq!(versions_of(gone), None);
        }
    }

    #[test]
    fn flexible_versions_match_the_request_headers_of_the_crate() {
        for (key, min, max, _) in REQUESTS {
            let api = ApiKey::try_from(*key).expect("known to the crate");
            for version in *min..=*max {
                assert_eq!(api.request_header_version(version) == 2, is_flexible(*key, version), "{api:?} {version}");
            }
        }
    }
}
