//! How another program leads a run: a word on the standard output when something is reached, the end of the standard
//! input when it is enough.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub struct Control {
    over: Arc<AtomicBool>,
}

impl Control {
    /// Waits for the end of the standard input, in a thread of its own.
    pub fn start() -> Control {
        let over = Arc::new(AtomicBool::new(false));
        let ended = over.clone();
        std::thread::spawn(move || {
            // Whatever was written, or failed: it is over.
            let _ = io::stdin().read_to_end(&mut Vec::new());
            ended.store(true, Ordering::Release);
        });
        Control { over }
    }

    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }
}

/// One line on the standard output, at once.
///
/// # Errors
/// Nobody reads it.
pub fn say(word: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{word}")?;
    out.flush()
}
