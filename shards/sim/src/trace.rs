//! What happened in a run, as one number, and its last lines for a person. Two runs of a seed must give the same number.

use std::collections::VecDeque;

/// Lines kept for a failure's report.
const LINES: usize = 60;

pub struct Trace {
    sum: u64,
    steps: u64,
    lines: VecDeque<String>,
    /// Say every line at once: for replaying a failure.
    pub aloud: bool,
}

impl Trace {
    pub fn new(aloud: bool) -> Trace {
        Trace { sum: 0xcbf2_9ce4_8422_2325, steps: 0, lines: VecDeque::new(), aloud }
    }

    /// FNV-1a over whole words.
    pub fn add(&mut self, word: u64) {
        self.sum = (self.sum ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
        self.steps += 1;
    }

    pub fn add_bytes(&mut self, bytes: &[u8]) {
        self.add(u64::from(crc32c::crc32c(bytes)) << 32 | bytes.len() as u64);
    }

    pub fn say(&mut self, line: impl FnOnce() -> String) {
        let line = line();
        self.add_bytes(line.as_bytes());
        if self.aloud {
            println!("  {line}");
        }
        if self.lines.len() == LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    pub fn sum(&self) -> u64 {
        self.sum
    }

    pub fn into_lines(self) -> Vec<String> {
        self.lines.into()
    }
}
