//! What a config's value may be: its type, its bounds, and how a text becomes a value.

/// Kafka's config types, numbered as in DescribeConfigs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i8)]
pub enum Kind {
    Boolean = 1,
    String = 2,
    Int = 3,
    Short = 4,
    Long = 5,
    Double = 6,
    List = 7,
    Class = 8,
    Password = 9,
}

/// Where a value comes from, numbered as in DescribeConfigs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i8)]
pub enum Source {
    Topic = 1,
    DynamicBroker = 2,
    DynamicDefaultBroker = 3,
    StaticBroker = 4,
    Default = 5,
    Group = 8,
}

/// Which values of a kind are taken.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Check {
    Any,
    AtLeast(i64),
    Between(i64, i64),
    Ratio(f64, f64),
    OneOf(&'static [&'static str]),
    /// The same in any case of letters.
    OneOfAnyCase(&'static [&'static str]),
    /// A list whose items are of these, one at least.
    ListOf(&'static [&'static str]),
    /// The same, and it may be empty.
    AnyOf(&'static [&'static str]),
    /// Known to Kafka, but without effect here: only this value is taken.
    Only(&'static str),
}

/// Whether `text` is a value of `kind` that `check` takes. `Err` says, in Kafka's words, what was expected.
pub fn judge(kind: Kind, check: Check, text: &str) -> Result<(), String> {
    let number = match kind {
        Kind::Boolean => {
            boolean(text).ok_or("Expected value to be either true or false")?;
            None
        }
        Kind::Short => Some(i64::from(text.trim().parse::<i16>().map_err(|_| not_a_number("SHORT"))?)),
        Kind::Int => Some(i64::from(text.trim().parse::<i32>().map_err(|_| not_a_number("INT"))?)),
        Kind::Long => Some(text.trim().parse::<i64>().map_err(|_| not_a_number("LONG"))?),
        Kind::Double => {
            let value = text.trim().parse::<f64>().map_err(|_| not_a_number("DOUBLE"))?;
            if !value.is_finite() {
                return Err(not_a_number("DOUBLE"));
            }
            if let Check::Ratio(low, high) = check {
                if value < low {
                    return Err(format!("Value must be at least {low}"));
                }
                if value > high {
                    return Err(format!("Value must be no more than {high}"));
                }
            }
            None
        }
        Kind::String | Kind::List | Kind::Class | Kind::Password => None,
    };
    match (check, number) {
        (Check::AtLeast(low), Some(value)) | (Check::Between(low, _), Some(value)) if value < low => {
            Err(format!("Value must be at least {low}"))
        }
        (Check::Between(_, high), Some(value)) if value > high => Err(format!("Value must be no more than {high}")),
        (Check::OneOf(choices), _) if !choices.contains(&text.trim()) => {
            Err(format!("String must be one of: {}", choices.join(", ")))
        }
        (Check::OneOfAnyCase(choices), _) if !choices.iter().any(|one| one.eq_ignore_ascii_case(text.trim())) => {
            Err(format!("String must be one of (case insensitive): {}", choices.join(", ")))
        }
        (Check::ListOf(choices) | Check::AnyOf(choices), _) => {
            let items = list(text);
            if items.is_empty() && matches!(check, Check::ListOf(_)) {
                return Err("Configuration must not be empty. Valid values include: ".to_owned() + &choices.join(", "));
            }
            if items.iter().any(|item| !choices.contains(item)) {
                return Err(format!("String must be one of: {}", choices.join(", ")));
            }
            Ok(())
        }
        (Check::Only(only), _) if text.trim() != only => {
            Err(format!("this broker does not implement it and takes only '{only}'"))
        }
        _ => Ok(()),
    }
}

fn not_a_number(kind: &str) -> String {
    format!("Not a number of type {kind}")
}

/// `true` or `false` in any case of letters, as Kafka takes it.
pub fn boolean(text: &str) -> Option<bool> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// The text of a value that `judge` takes, as Apache Kafka shows it: parsed and written anew. Numbers and lists lose what
/// does not count, booleans are small, and each item of a list stands once.
pub fn shown(kind: Kind, text: &str) -> String {
    let trimmed = text.trim();
    let number = |parsed: Option<i64>| parsed.map(|value| value.to_string());
    let rewritten = match kind {
        Kind::Boolean => boolean(trimmed).map(|value| value.to_string()),
        Kind::Short | Kind::Int | Kind::Long => number(trimmed.parse().ok()),
        // Java writes a whole number as 1.0, as {:?} does.
        Kind::Double => trimmed.parse::<f64>().ok().map(|value| format!("{value:?}")),
        Kind::List => {
            let mut items = Vec::new();
            for item in list(trimmed) {
                if !items.contains(&item) {
                    items.push(item);
                }
            }
            Some(items.join(","))
        }
        Kind::String | Kind::Class | Kind::Password => None,
    };
    rewritten.unwrap_or_else(|| trimmed.to_owned())
}

/// The items of a comma-separated list; an empty text is an empty list.
pub fn list(text: &str) -> Vec<&str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_judged_by_type_and_bound() {
        assert_eq!(judge(Kind::Int, Check::Any, "x"), Err("Not a number of type INT".into()));
        assert_eq!(judge(Kind::Int, Check::Any, "2147483648"), Err("Not a number of type INT".into()));
        assert_eq!(judge(Kind::Long, Check::AtLeast(-1), "2147483648"), Ok(()));
        assert_eq!(judge(Kind::Long, Check::AtLeast(-1), "-1"), Ok(()));
        assert_eq!(judge(Kind::Long, Check::AtLeast(-1), "-2"), Err("Value must be at least -1".into()));
        assert_eq!(judge(Kind::Int, Check::Between(1, 9), "10"), Err("Value must be no more than 9".into()));
        assert_eq!(judge(Kind::Double, Check::Ratio(0.0, 1.0), "1.5"), Err("Value must be no more than 1".into()));
        assert_eq!(judge(Kind::Double, Check::Ratio(0.0, 1.0), "NaN"), Err("Not a number of type DOUBLE".into()));
    }

    #[test]
    fn values_are_shown_as_kafka_writes_them() {
        assert_eq!(shown(Kind::List, "compact, delete,compact"), "compact,delete");
        assert_eq!(shown(Kind::List, ""), "");
        assert_eq!(shown(Kind::Long, " +007 "), "7");
        assert_eq!(shown(Kind::Boolean, "TRUE"), "true");
        assert_eq!(shown(Kind::Double, "1"), "1.0");
        assert_eq!(shown(Kind::Double, "0.50"), "0.5");
        assert_eq!(shown(Kind::String, " gzip "), "gzip");
    }

    #[test]
    fn choices_and_lists() {
        let one = Check::OneOfAnyCase(&["disabled", "upgrade"]);
        assert_eq!(judge(Kind::String, one, "Upgrade"), Ok(()));
        assert!(judge(Kind::String, one, "up").is_err());
        let policies = Check::ListOf(&["compact", "delete"]);
        assert_eq!(judge(Kind::List, policies, "compact, delete"), Ok(()));
        assert_eq!(judge(Kind::List, policies, "compact,x"), Err("String must be one of: compact, delete".into()));
        assert!(judge(Kind::List, policies, "").is_err());
        assert_eq!(judge(Kind::List, Check::AnyOf(&["compact", "delete"]), ""), Ok(()));
        assert!(judge(Kind::List, Check::AnyOf(&["compact"]), "delete").is_err());
        assert_eq!(judge(Kind::Boolean, Check::Any, "TRUE"), Ok(()));
        assert!(judge(Kind::Boolean, Check::Any, "yes").is_err());
        assert!(judge(Kind::Boolean, Check::Only("false"), "true").is_err());
    }
}
