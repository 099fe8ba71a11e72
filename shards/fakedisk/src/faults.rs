//! The faults a test plans: a full disk, files that fail.

use heddle_border::Fault;

/// EIO.
const EIO: i32 = 5;

#[derive(Clone, Debug)]
struct Bad {
    prefix: String,
    /// How many operations fail still; `None`: all, until healed.
    left: Option<u32>,
}

#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Bytes all files together may take.
    pub limit: Option<u64>,
    writes: Vec<Bad>,
    reads: Vec<Bad>,
}

impl Faults {
    pub fn fail_writes(&mut self, prefix: &str, times: Option<u32>) {
        self.writes.push(Bad { prefix: prefix.to_owned(), left: times });
    }

    pub fn fail_reads(&mut self, prefix: &str, times: Option<u32>) {
        self.reads.push(Bad { prefix: prefix.to_owned(), left: times });
    }

    pub fn heal(&mut self) {
        *self = Faults::default();
    }

    pub fn of_write(&mut self, path: &str) -> Option<Fault> {
        strikes(&mut self.writes, path)
    }

    pub fn of_read(&mut self, path: &str) -> Option<Fault> {
        strikes(&mut self.reads, path)
    }
}

fn strikes(plan: &mut [Bad], path: &str) -> Option<Fault> {
    let bad = plan.iter_mut().find(|bad| bad.left != Some(0) && path.starts_with(&bad.prefix))?;
    if let Some(left) = &mut bad.left {
        *left -= 1;
    }
    Some(Fault::Io(EIO))
}
