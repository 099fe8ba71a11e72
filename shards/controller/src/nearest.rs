//! What a person may have meant by a name that is not known.

/// A sentence's end that names the nearest of `names`, if one is near; empty if not.
pub fn nearest(name: &str, names: impl Iterator<Item = &'static str>) -> String {
    let asked = name.to_ascii_lowercase();
    let near = names.map(|known| (distance(&asked, known), known)).min();
    match near.filter(|(distance, known)| is_near(*distance, &asked, known)) {
        Some((_, known)) => format!(" (did you mean {known}?)"),
        None => String::new(),
    }
}

/// A third of the letters may differ; a name whose beginning or end was left out is meant in any case.
fn is_near(distance: usize, asked: &str, known: &str) -> bool {
    let cut = asked.len() >= 6 && (known.starts_with(asked) || known.ends_with(asked));
    cut || distance <= asked.len().min(known.len()) / 3
}

/// Letters to insert, drop or replace (Levenshtein). Names are short, and only the first letters of a long one count.
fn distance(a: &str, b: &str) -> usize {
    let a = &a.as_bytes()[..a.len().min(100)];
    let mut row: Vec<usize> = (0..=a.len()).collect();
    for (at, letter) in b.bytes().enumerate() {
        let mut before = std::mem::replace(&mut row[0], at + 1);
        for (column, other) in a.iter().enumerate() {
            let same = before + usize::from(*other != letter);
            before = row[column + 1];
            row[column + 1] = same.min(before + 1).min(row[column] + 1);
        }
    }
    row[a.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, expected) in
            [("", "", 0), ("a", "", 1), ("", "ab", 2), ("kitten", "sitting", 3), ("flaw", "lawn", 2)]
        {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }

    #[test]
    fn what_is_near_is_named_and_what_is_far_is_not() {
        let names = || ["log.retention.ms", "num.partitions", "message.max.bytes"].into_iter();
        assert_eq!(nearest("num.partition", names()), " (did you mean num.partitions?)");
        assert_eq!(nearest("Num.Partitons", names()), " (did you mean num.partitions?)");
        assert_eq!(nearest("retention.ms", names()), " (did you mean log.retention.ms?)");
        assert_eq!(nearest("nonsense", names()), "");
        assert_eq!(nearest(&"x".repeat(100_000), names()), "");
    }
}
