//! A record of every disk operation, for the test that cuts it at each point and rebuilds what a crash could leave.
//!
//! Off unless asked for. `<path>` holds one line an operation when it starts and one when it ends, in the order seen:
//! `start <n> <operation> <file> [<position> <length> <durable> <content position>]`, `end <n> ok|failed`.
//! `<path>.data` holds the contents of the writes one after another.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Mutex;

pub(crate) struct Trace {
    inner: Mutex<Inner>,
}

struct Inner {
    lines: File,
    data: File,
    data_bytes: u64,
    started: u64,
}

impl Trace {
    pub(crate) fn create(path: &Path) -> io::Result<Trace> {
        let mut data = path.as_os_str().to_owned();
        data.push(".data");
        let inner = Inner { lines: File::create(path)?, data: File::create(data)?, data_bytes: 0, started: 0 };
        Ok(Trace { inner: Mutex::new(inner) })
    }

    /// An operation other than a write starts; `what` names it and its file.
    pub(crate) fn start(&self, what: &str) -> u64 {
        self.with(|inner| {
            let number = inner.next();
            writeln!(inner.lines, "start {number} {what}")?;
            Ok(number)
        })
    }

    pub(crate) fn start_write(&self, path: &str, at: u64, bytes: &[u8], durable: bool) -> u64 {
        self.with(|inner| {
            let number = inner.next();
            inner.data.write_all(bytes)?;
            let (len, content) = (bytes.len(), inner.data_bytes);
            inner.data_bytes += len as u64;
            writeln!(inner.lines, "start {number} write {path} {at} {len} {durable} {content}")?;
            Ok(number)
        })
    }

    pub(crate) fn end(&self, number: u64, ok: bool) {
        self.with(|inner| writeln!(inner.lines, "end {number} {}", if ok { "ok" } else { "failed" }));
    }

    fn with<T>(&self, act: impl FnOnce(&mut Inner) -> io::Result<T>) -> T {
        let mut inner = self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // A trace with a hole would prove nothing: the test must fail.
        act(&mut inner).unwrap_or_else(|e| panic!("the trace of disk operations cannot be written: {e}"))
    }
}

impl Inner {
    fn next(&mut self) -> u64 {
        self.started += 1;
        self.started
    }
}
