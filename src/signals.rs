//! Being asked to stop.

use nix::sys::signal::{SigSet, Signal};

/// SIGTERM, SIGINT and SIGHUP call `stop` on a thread of its own until it says that nobody listens. To be called before
/// any other thread exists, which then have the signals blocked too. A SIGHUP that is ignored (`nohup`) stays so.
///
/// # Errors
/// If the kernel refuses.
pub fn wait(stop: impl Fn() -> bool + Send + 'static) -> Result<(), String> {
    let mut set = SigSet::empty();
    set.add(Signal::SIGTERM);
    set.add(Signal::SIGINT);
    // A blocked signal is delivered to who waits for it even if it is ignored.
    if !is_ignored(Signal::SIGHUP, &std::fs::read_to_string("/proc/self/status").unwrap_or_default()) {
        set.add(Signal::SIGHUP);
    }
    set.thread_block().map_err(|e| format!("signals: {e}"))?;
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || while set.wait().is_ok() && stop() {})
        .map(|_| ())
        .map_err(|e| format!("signals: {e}"))
}

/// `status` is the text of `/proc/self/status`, whose `SigIgn` is a mask in hexadecimal, signal 1 its lowest bit.
fn is_ignored(signal: Signal, status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask & (1 << (signal as i32 - 1)) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_says_what_is_ignored() {
        let status = "SigBlk:\t0000000000000001\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000000000\n";
        assert!(is_ignored(Signal::SIGHUP, status) && is_ignored(Signal::SIGPIPE, status));
        assert!(!is_ignored(Signal::SIGTERM, status) && !is_ignored(Signal::SIGHUP, ""));
    }
}
