//! Tests as text: commands in, the full trace out, rewritten by one flag. A dev-dependency only.
//! Owns: the script format, comparison, rewriting.
//! Invariants: a script is never changed unless `UPDATE=1` is set; comments and order always survive.
//! Does not know: any room's commands.
//! Read first: `run`, below.

use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Runs every `*.txt` in `dir`, in order of name, and panics with a readable difference unless each command printed
/// what its script expects. With `UPDATE=1` in the environment the scripts are rewritten instead.
///
/// `start` is called once per script and gives the closure that carries out its commands, with the state they share.
///
/// A script is a sequence of blocks, parted by blank lines:
///
/// ```text
/// # comments, if any
/// command line(s)
/// ----
/// expected output
/// ```
///
/// Blank lines in an output are dropped, since they would end the block.
pub fn run<C: FnMut(&str) -> String>(dir: &Path, mut start: impl FnMut() -> C) {
    let update = std::env::var_os("UPDATE").is_some_and(|value| value == "1");
    let scripts = scripts(dir);
    assert!(!scripts.is_empty(), "no scripts in {}", dir.display());
    let mut failures = String::new();
    for path in scripts {
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let outcome = play(&text, start());
        if update && outcome.text != text {
            std::fs::write(&path, &outcome.text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        }
        if !update {
            for difference in &outcome.differences {
                let _ = write!(failures, "\n{}:{difference}", path.display());
            }
        }
    }
    assert!(failures.is_empty(), "scripts differ (UPDATE=1 rewrites them):{failures}");
}

fn scripts(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    let paths = entries.map(|entry| entry.expect("a directory entry is readable").path());
    let mut paths: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|e| e == "txt")).collect();
    paths.sort();
    paths
}

struct Outcome {
    /// The script with the outputs that were printed.
    text: String,
    differences: Vec<String>,
}

fn play(text: &str, mut carry_out: impl FnMut(&str) -> String) -> Outcome {
    let mut outcome = Outcome { text: String::new(), differences: vec![] };
    let mut lines = text.lines().enumerate().peekable();
    while let Some((number, line)) = lines.next() {
        if line.is_empty() || line.starts_with('#') {
            outcome.text.push_str(line);
            outcome.text.push('\n');
            continue;
        }
        let mut command = vec![line];
        command.extend(std::iter::from_fn(|| lines.next_if(|(_, l)| *l != "----" && !l.is_empty())).map(|(_, l)| l));
        lines.next_if(|(_, l)| *l == "----");
        let expected = std::iter::from_fn(|| lines.next_if(|(_, l)| !l.is_empty())).map(|(_, l)| l);
        let expected = block(expected);
        let command = command.join("\n");
        let printed = carry_out(&command);
        let printed = block(printed.lines().map(str::trim_end).filter(|l| !l.is_empty()));
        if printed != expected {
            let at = number + 1;
            let difference = format!("{at}: {command}\n--- expected\n{expected}--- printed\n{printed}");
            outcome.differences.push(difference);
        }
        outcome.text.push_str(&format!("{command}\n----\n{printed}"));
    }
    outcome
}

fn block<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    lines.map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counter() -> impl FnMut(&str) -> String {
        let mut sum = 0;
        move |command| {
            sum += command.split_whitespace().filter_map(|word| word.parse::<i32>().ok()).sum::<i32>();
            format!("sum {sum}\n\nlines {}", command.lines().count())
        }
    }

    #[test]
    fn state_carries_over_and_a_true_script_passes_unchanged() {
        let script = "# sums\nadd 1\n2\n----\nsum 3\nlines 2\n\nadd 4\n----\nsum 7\nlines 1\n";
        let outcome = play(script, counter());
        assert_eq!(outcome.differences, Vec::<String>::new());
        assert_eq!(outcome.text, script);
    }

    #[test]
    fn a_false_expectation_is_named_and_rewritten() {
        let outcome = play("# why\nadd 1\n----\nsum 2\nlines 1\n\n\nadd 1\n", counter());
        assert_eq!(outcome.differences.len(), 2);
        assert!(outcome.differences[0].starts_with("2: add 1"));
        assert_eq!(outcome.text, "# why\nadd 1\n----\nsum 1\nlines 1\n\n\nadd 1\n----\nsum 2\nlines 1\n");
        assert_eq!(play(&outcome.text, counter()).differences.len(), 0);
    }

    #[test]
    #[should_panic(expected = "no scripts")]
    fn a_directory_without_scripts_is_an_error() {
        run(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), counter);
    }
}
