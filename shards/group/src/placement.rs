//! Which partition of `__consumer_offsets` keeps a group: Kafka's rule, so that tools find it.

use heddle_model::PartitionIndex;

/// `abs(hash) % partitions`, where the hash is that of a Java string (over UTF-16 units).
///
/// # Panics
/// If `partitions` is not positive: a topic has partitions.
pub fn partition_of(group: &str, partitions: i32) -> PartitionIndex {
    assert!(partitions > 0);
    let hash = group.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    // Kafka's abs takes the smallest integer to 0.
    PartitionIndex(hash.checked_abs().unwrap_or(0) % partitions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_java_computes_it() {
        // "group".hashCode() is 98629247 in Java.
        assert_eq!(partition_of("group", i32::MAX), PartitionIndex(98_629_247));
        assert_eq!(partition_of("", 50), PartitionIndex(0));
        // "polygenelubricants".hashCode() is the smallest integer.
        assert_eq!(partition_of("polygenelubricants", 50), PartitionIndex(0));
    }
}
