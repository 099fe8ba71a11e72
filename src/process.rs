//! What the kernel says of this process, under Prometheus's names for every process.

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};
use nix::sys::statvfs::statvfs;
use nix::sys::time::TimeValLike;

/// What the kernel does not say is `None`.
pub struct Process {
    pub cpu_seconds: Option<f64>,
    pub resident_bytes: Option<u64>,
    pub virtual_bytes: Option<u64>,
    pub threads: Option<u64>,
    pub open_files: Option<u64>,
    pub open_files_max: Option<u64>,
}

impl Process {
    pub fn read() -> Process {
        let usage = getrusage(UsageWho::RUSAGE_SELF).ok();
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let field = |name: &str| {
            let rest = status.lines().find_map(|line| line.strip_prefix(name))?;
            rest.split_whitespace().next()?.parse::<u64>().ok()
        };
        Process {
            cpu_seconds: usage.map(|u| (u.user_time() + u.system_time()).num_microseconds() as f64 / 1e6),
            resident_bytes: field("VmRSS:").map(|kib| kib << 10),
            virtual_bytes: field("VmSize:").map(|kib| kib << 10),
            threads: field("Threads:"),
            open_files: fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as u64),
            open_files_max: getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(soft, _)| soft),
        }
    }
}

/// Seconds since 1970, now.
pub fn now_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// Size of the file system that holds `dir`, and what of it this process may still use. Bytes.
pub fn space(dir: &Path) -> Option<(u64, u64)> {
    let found = statvfs(dir).ok()?;
    let unit = found.fragment_size();
    Some((found.blocks().saturating_mul(unit), found.blocks_available().saturating_mul(unit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_memory_files_and_a_disk() {
        let process = Process::read();
        assert!(process.cpu_seconds.is_some_and(|seconds| seconds >= 0.0));
        assert!(process.resident_bytes.is_some_and(|bytes| bytes > 4096 && Some(bytes) <= process.virtual_bytes));
        assert!(process.threads >= Some(1) && process.open_files >= Some(3));
        assert!(process.open_files <= process.open_files_max);
        let (total, free) = space(Path::new("/")).expect("there is a root");
        assert!(total > 0 && free <= total);
        assert_eq!(space(Path::new("/no/such/place")), None);
    }
}
