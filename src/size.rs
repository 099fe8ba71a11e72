//! Sizes as people write them.

use std::fmt;
use std::str::FromStr;

/// A number of bytes, read from `4GiB`, `512MiB`, `1000000`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Size(pub u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Size, String> {
        let wrong =
            || format!("'{text}' is not a size; expected a number with KiB, MiB, GiB or without a unit, as 512MiB");
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "k" | "kib" => 1 << 10,
            "m" | "mib" => 1 << 20,
            "g" | "gib" => 1 << 30,
            "t" | "tib" => 1 << 40,
            _ => return Err(wrong()),
        };
        number.checked_mul(factor).map(Size).ok_or_else(wrong)
    }
}

/// In the largest unit that divides it.
impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
        match units.into_iter().find(|(unit, _)| self.0 > 0 && self.0.is_multiple_of(*unit)) {
            Some((unit, name)) => write!(f, "{}{name}", self.0 / unit),
            None => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!("4GiB".parse(), Ok(Size(4 << 30)));
        assert_eq!("512 MiB".parse(), Ok(Size(512 << 20)));
        assert_eq!("1000".parse(), Ok(Size(1000)));
        assert_eq!(
            ["4GiB", "1536MiB", "1000", "0"].map(|text| text.parse::<Size>().unwrap().to_string()),
            ["4GiB", "1536MiB", "1000", "0"]
        );
        assert!("4GB".parse::<Size>().unwrap_err().contains("512MiB"));
        assert!("".parse::<Size>().is_err());
        assert!("99999999999999999999".parse::<Size>().is_err());
        assert!("999999999TiB".parse::<Size>().is_err());
    }
}
