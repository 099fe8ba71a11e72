//! Which names a topic may have. The rules and the sentences are Apache Kafka's (`Topic.validate`).

pub const NAME_BYTES_MAX: usize = 249;

/// `Err` is the sentence for the client.
pub fn check_topic_name(name: &str) -> Result<(), String> {
    let wrong = if name.is_empty() {
        "the empty string is not allowed".to_owned()
    } else if name == "." || name == ".." {
        format!("'{name}' is not allowed")
    } else if name.len() > NAME_BYTES_MAX {
        format!("the length of '{}' is longer than the max allowed length {NAME_BYTES_MAX}", shortened(name))
    } else if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')) {
        format!("'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'")
    } else {
        return Ok(());
    };
    Err(format!("Topic name is invalid: {wrong}"))
}

/// The name under which `.` and `_` are one: two topics of one such name would share their metrics in Kafka.
pub fn collision_name(name: &str) -> String {
    name.replace('.', "_")
}

fn shortened(name: &str) -> String {
    name.chars().take(NAME_BYTES_MAX).chain("...".chars()).collect()
}

pub fn is_internal(name: &str) -> bool {
    matches!(name, "__consumer_offsets" | "__transaction_state" | "__share_group_state")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["a", "A.b_c-9", "...", &"x".repeat(249)] {
            assert_eq!(check_topic_name(good), Ok(()), "{good}");
        }
        for bad in ["", ".", "..", "a b", "ü", "a/b", &"x".repeat(250)] {
            assert!(check_topic_name(bad).is_err(), "{bad}");
        }
        assert_eq!(check_topic_name(".").unwrap_err(), "Topic name is invalid: '.' is not allowed");
        assert_eq!(collision_name("a.b_c"), collision_name("a_b.c"));
    }
}
