//! The data directory belongs to one process at a time.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};

/// How often, and with which pause, the lock is tried.
const LOCK_TRIES: u32 = 30;
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// Holds the directory until dropped; the kernel lets go of it also when the process is killed.
pub struct Held(#[expect(dead_code, reason = "held for its lock")] Flock<File>);

/// # Errors
/// If another process holds the directory, or it cannot be made or written.
pub fn hold(dir: &Path) -> Result<Held, String> {
    make(dir).map_err(|e| format!("data directory {}: {e}", dir.display()))?;
    let path = dir.join("lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|e| format!("data directory {}: {e}", dir.display()))?;
    lock(file).map_err(|()| {
        format!(
            "data directory {} is in use by another heddle process; stop that one, or give another --data-dir",
            dir.display()
        )
    })
}

/// A process that was just killed holds its lock until the kernel has taken its memory and rings down: wait for that.
fn lock(mut file: File) -> Result<Held, ()> {
    for _ in 0..LOCK_TRIES {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(Held(lock)),
            Err((back, _)) => file = back,
        }
        std::thread::sleep(LOCK_PAUSE);
    }
    Err(())
}

/// One more than the highest number of a journal in the directory.
pub fn journals(dir: &Path) -> u16 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let number = |name: &str| name.strip_prefix("journal-")?.parse::<u16>().ok()?.checked_add(1);
    entries.filter_map(|entry| number(entry.file_name().to_str()?)).max().unwrap_or(0)
}

/// Make the directory and those above it, so that their names survive a power loss like what will be in them.
fn make(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let above = match dir.parent() {
        Some(above) if !above.as_os_str().is_empty() => above,
        _ => Path::new("."),
    };
    make(above)?;
    match fs::create_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => {}
        other => other?,
    }
    File::open(above)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_made_with_those_above() {
        let dir = std::env::temp_dir().join(format!("heddle-make-{}", std::process::id()));
        make(&dir.join("a/b")).unwrap();
        make(&dir.join("a/b")).unwrap();
        assert!(dir.join("a/b").is_dir());
        fs::write(dir.join("file"), "").unwrap();
        assert!(make(&dir.join("file/c")).is_err());
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_directory_has_one_holder() {
        let dir = std::env::temp_dir().join(format!("heddle-lock-{}", std::process::id()));
        let held = hold(&dir).unwrap();
        assert!(hold(&dir).err().expect("the first still holds it").contains("in use"));
        drop(held);
        assert!(hold(&dir).is_ok());
        fs::remove_dir_all(dir).unwrap();
    }
}
