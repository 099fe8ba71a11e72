//! How the space of large files is given back: a little at a time. A file system that tells the device what became free
//! (`discard`) does so with the next commit of its own journal, and the device does nothing else meanwhile: a file of 256
//! MiB removed at once held up durable writes for 30 to 60 ms, in pieces of 1 MiB for 3 ms at the 99.9th percentile.

use std::cell::Cell;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use heddle_border::Done;

use crate::cold::{Gave, blocking};

/// Bytes that are given back at once …
const PIECE_BYTES: u64 = 1024 * 1024;
/// … and the pause behind them: half a gigabyte a second, faster than one log grows.
const PAUSE: Duration = Duration::from_millis(2);

/// Set when the core is to end: what is left goes at once.
pub(crate) type Hurry = Rc<Cell<bool>>;

/// Remove a file: its name at once, so that no crash leaves a shortened file under it, its space little by little.
pub(crate) async fn file(full: PathBuf, hurry: Hurry) -> io::Result<Gave> {
    if let Some((file, len)) = blocking(move || unlink(&full)).await? {
        give_back(file, len, hurry).await?;
    }
    Ok(Gave::Done(Done::Finished))
}

/// Remove a directory and everything in it.
pub(crate) async fn tree(full: PathBuf, hurry: Hurry) -> io::Result<Gave> {
    let root = full.clone();
    let mut files = blocking(move || files_of(&root)).await?;
    while let Some(path) = files.pop().filter(|_| !hurry.get()) {
        match file(path, hurry.clone()).await {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    blocking(move || match fs::remove_dir_all(full) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(Gave::Done(Done::Finished)),
    })
    .await
}

/// The file without its name, and how long it is, if it is worth pieces.
fn unlink(path: &Path) -> io::Result<Option<(Arc<File>, u64)>> {
    let large = fs::symlink_metadata(path).ok().filter(|meta| meta.is_file() && meta.len() > PIECE_BYTES);
    // One that cannot be written is removed all the same.
    let file = large.and_then(|meta| Some((OpenOptions::new().write(true).open(path).ok()?, meta.len())));
    fs::remove_file(path)?;
    Ok(file.map(|(file, len)| (Arc::new(file), len)))
}

async fn give_back(file: Arc<File>, mut len: u64, hurry: Hurry) -> io::Result<()> {
    while len > 0 && !hurry.get() {
        len = (len - 1) / PIECE_BYTES * PIECE_BYTES;
        let file = file.clone();
        blocking(move || file.set_len(len)).await?;
        glommio::timer::sleep(PAUSE).await;
    }
    // Closing the last name of a large removed file takes long.
    blocking(move || {
        drop(file);
        Ok(())
    })
    .await
}

fn files_of(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let entries = match fs::read_dir(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(files),
        found => found?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            files.append(&mut files_of(&entry.path())?);
        } else {
            files.push(entry.path());
        }
    }
    Ok(files)
}
