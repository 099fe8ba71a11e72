//! File work that is slow or rare: done by the executor's blocking threads, driven by tasks of a low-share queue.

use std::cell::{Cell, RefCell};
use std::fs::{self, File, OpenOptions};
use std::future::Future;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use glommio::{Latency, Shares, Task, TaskQueueHandle};
use heddle_border::{Blocks, Done, Entry, FileId, OpenMode, Token};
use nix::fcntl::{FallocateFlags, fallocate};
use nix::libc;
use nix::sys::eventfd::EventFd;

use crate::remove::{self, Hurry};

/// The loop's queue has 1,000 shares.
const SHARES: usize = 50;
/// Zeros are written in pieces of this size, small enough not to hold up the journal. Bytes.
const ZEROS_BYTES: usize = 256 * 1024;

/// How long a ready task can be overlooked by the executor (see `Cold::watch`).
const WATCH: Duration = Duration::from_millis(5);

/// What came of a piece of cold work.
pub(crate) struct Outcome {
    pub(crate) token: Token,
    /// The file it was done on, if it was open.
    pub(crate) file: Option<FileId>,
    pub(crate) result: io::Result<Gave>,
    pub(crate) trace: u64,
}

pub(crate) enum Gave {
    Done(Done),
    Opened { file: FileId, opened: Opened },
}

/// An open file, and whether the file system took O_DIRECT.
pub(crate) struct Opened {
    pub(crate) file: Arc<File>,
    pub(crate) direct: bool,
    pub(crate) len: u64,
    pub(crate) path: String,
}

pub(crate) struct Cold {
    queue: TaskQueueHandle,
    /// Wakes the loop, which awaits it while cold work is under way.
    bridge: Rc<EventFd>,
    outcomes: Rc<RefCell<Vec<Outcome>>>,
    under_way: Rc<Cell<usize>>,
    watch: Option<Task<()>>,
    hurry: Hurry,
}

impl Cold {
    /// To be called on the executor that runs the loop.
    pub(crate) fn new(bridge: Rc<EventFd>) -> Cold {
        let queue = glommio::executor().create_task_queue(Shares::Static(SHARES), Latency::NotImportant, "cold");
        Cold { queue, bridge, outcomes: Rc::default(), under_way: Rc::default(), watch: None, hurry: Hurry::default() }
    }

    pub(crate) fn under_way(&self) -> usize {
        self.under_way.get()
    }

    pub(crate) fn take(&mut self, into: &mut Vec<Outcome>) {
        into.append(&mut self.outcomes.borrow_mut());
        if self.under_way() == 0 {
            self.watch = None;
        }
    }

    /// Keep the executor waking up as long as the loop may be suspended in it. In glommio 0.9 a wake-up of a blocking
    /// thread that comes between its look at I/O and its first task makes it sleep with tasks ready to run.
    fn watch(&mut self) {
        if self.watch.is_none() {
            let tick = async {
                loop {
                    glommio::timer::sleep(WATCH).await;
                }
            };
            self.watch = Some(self.spawn(tick));
        }
    }

    fn spawn<T: 'static>(&self, task: impl Future<Output = T> + 'static) -> Task<T> {
        glommio::spawn_local_into(task, self.queue).expect("the queue lives as long as its executor")
    }

    /// Do `act` on a blocking thread.
    pub(crate) fn run(
        &mut self,
        token: Token,
        file: Option<FileId>,
        trace: u64,
        act: impl FnOnce() -> io::Result<Gave> + Send + 'static,
    ) {
        self.drive(token, file, trace, blocking(act));
    }

    pub(crate) fn remove_file(&mut self, token: Token, trace: u64, full: PathBuf) {
        self.drive(token, None, trace, remove::file(full, self.hurry.clone()));
    }

    pub(crate) fn remove_tree(&mut self, token: Token, trace: u64, full: PathBuf) {
        self.drive(token, None, trace, remove::tree(full, self.hurry.clone()));
    }

    /// The core is to end: nothing takes its time any more.
    pub(crate) fn hurry(&self) {
        self.hurry.set(true);
    }

    /// Write zeros from `from` for `len` bytes, piece by piece, and sync.
    pub(crate) fn prewrite(&mut self, token: Token, id: FileId, trace: u64, file: Arc<File>, from: u64, len: u64) {
        self.drive(token, Some(id), trace, async move {
            let zeros = Arc::new(Blocks::zeroed(ZEROS_BYTES));
            let end = from.checked_add(len).ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
            let asked = file.clone();
            blocking(move || has_room(&asked, end)).await?;
            let mut at = from;
            while at < end {
                let piece = (end - at).min(ZEROS_BYTES as u64);
                let (zeros, file) = (zeros.clone(), file.clone());
                blocking(move || file.write_all_at(&zeros[..piece as usize], at)).await?;
                at += piece;
            }
            blocking(move || file.sync_data()).await?;
            Ok(Gave::Done(Done::Finished))
        });
    }

    fn drive(
        &mut self,
        token: Token,
        file: Option<FileId>,
        trace: u64,
        work: impl Future<Output = io::Result<Gave>> + 'static,
    ) {
        self.under_way.set(self.under_way.get() + 1);
        let (outcomes, under_way, bridge) = (self.outcomes.clone(), self.under_way.clone(), self.bridge.clone());
        let task = async move {
            let result = work.await;
            outcomes.borrow_mut().push(Outcome { token, file, result, trace });
            under_way.set(under_way.get() - 1);
            // Refused only at 2^64-1 rings that nobody took; then it is ringing already.
            let _ = bridge.write(1);
        };
        self.spawn(task).detach();
        self.watch();
    }
}

/// Run `act` on a blocking thread. A panic there would hang us and poison the pool: it becomes EIO, and is printed.
pub(crate) async fn blocking<T: Send + 'static>(act: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    let guarded = move || catch_unwind(AssertUnwindSafe(act));
    glommio::executor().spawn_blocking(guarded).await.unwrap_or_else(|_| Err(io::Error::from_raw_os_error(libc::EIO)))
}

pub(crate) fn open(full: &Path, path: String, mode: OpenMode) -> io::Result<Opened> {
    let mut options = OpenOptions::new();
    options.read(true).write(mode != OpenMode::ReadOnly).mode(0o640);
    let direct = options.clone().create_new(mode == OpenMode::Create).custom_flags(libc::O_DIRECT).open(full);
    let (file, direct) = match direct {
        Ok(file) => (file, true),
        // tmpfs and the like: buffered, and durable through RWF_DSYNC and fdatasync all the same. A create that was
        // refused for this flag has left its file, which is ours, as one that existed is refused before.
        Err(e) if e.raw_os_error() == Some(libc::EINVAL) => {
            (options.create(mode == OpenMode::Create).open(full)?, false)
        }
        Err(e) => return Err(e),
    };
    let meta = file.metadata()?;
    if meta.is_dir() {
        return Err(io::Error::from_raw_os_error(libc::EISDIR));
    }
    Ok(Opened { file: Arc::new(file), direct, len: meta.len(), path })
}

/// Reserve `len` bytes from `from`. What was never written there reads as zeros; what was written stays, because a write
/// may be under way beside this.
pub(crate) fn allocate(file: &File, from: u64, len: u64) -> io::Result<Gave> {
    let position = |n| libc::off_t::try_from(n).map_err(|_| io::Error::from_raw_os_error(libc::EFBIG));
    let end = from.checked_add(len).ok_or_else(|| io::Error::from_raw_os_error(libc::EFBIG))?;
    if len > 0 {
        match fallocate(file, FallocateFlags::empty(), position(from)?, position(len)?) {
            // A file system that cannot reserve: at least the length is as promised.
            Err(nix::errno::Errno::EOPNOTSUPP) if file.metadata()?.len() < end => file.set_len(end)?,
            Err(nix::errno::Errno::EOPNOTSUPP) => {}
            other => other?,
        }
    }
    Ok(Gave::Done(Done::Finished))
}

/// Whether the file can be `end` bytes long. Found out only while writing, it would have taken the last space meanwhile
/// from others, who need less and could go on.
fn has_room(file: &File, end: u64) -> io::Result<()> {
    /// What `st_blocks` counts. Bytes.
    const UNIT: u64 = 512;
    let missing = end.saturating_sub(file.metadata()?.blocks() * UNIT);
    let found = nix::sys::statvfs::fstatvfs(file)?;
    let free = found.blocks_available() as u64 * found.fragment_size() as u64;
    if missing > free { Err(io::Error::from_raw_os_error(libc::ENOSPC)) } else { Ok(()) }
}

pub(crate) fn make_dir(path: &Path) -> io::Result<Gave> {
    match fs::create_dir(path) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
        other => other?,
    }
    Ok(Gave::Done(Done::Finished))
}

pub(crate) fn sync_dir(path: &Path) -> io::Result<Gave> {
    File::open(path)?.sync_all()?;
    Ok(Gave::Done(Done::Finished))
}

/// The entries of a directory, by name.
pub(crate) fn list(path: &Path) -> io::Result<Gave> {
    let mut entries = Vec::new();
    match fs::read_dir(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(e),
        Ok(found) => {
            for entry in found {
                let entry = entry?;
                let meta = match entry.metadata() {
                    // Removed since.
                    Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                    other => other?,
                };
                let name = entry.file_name().to_string_lossy().into_owned();
                let is_dir = meta.is_dir();
                entries.push(Entry { name, len: if is_dir { 0 } else { meta.len() }, is_dir });
            }
        }
    }
    entries.sort();
    Ok(Gave::Done(Done::Listed(entries)))
}

pub(crate) fn space(path: &Path) -> io::Result<Gave> {
    let found = nix::sys::statvfs::statvfs(path)?;
    let unit = found.fragment_size() as u64;
    let (total, free) = (found.blocks() as u64 * unit, found.blocks_available() as u64 * unit);
    Ok(Gave::Done(Done::Space { total, free }))
}
