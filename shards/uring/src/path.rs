//! Paths of the border, kept inside the data directory.

use std::path::{Path, PathBuf};

use heddle_border::Fault;
use nix::libc;

/// The file that `path` names under `root`. Absolute paths, empty parts, `.`, `..` and NUL are refused (EINVAL).
pub(crate) fn resolve(root: &Path, path: &str) -> Result<PathBuf, Fault> {
    let bad = |part: &str| part.is_empty() || part == "." || part == ".." || part.contains('\0');
    if path.split('/').any(bad) {
        return Err(Fault::Io(libc::EINVAL));
    }
    Ok(root.join(path))
}

/// As `resolve`, and the empty path is the data directory itself.
pub(crate) fn resolve_dir(root: &Path, path: &str) -> Result<PathBuf, Fault> {
    if path.is_empty() { Ok(root.to_owned()) } else { resolve(root, path) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_the_data_directory() {
        let root = Path::new("data");
        for bad in ["", "/etc/passwd", "..", "a/../b", "a//b", "a/", "./a", "a\0b"] {
            assert_eq!(resolve(root, bad), Err(Fault::Io(libc::EINVAL)), "{bad:?}");
        }
        assert_eq!(resolve(root, "a/b..c"), Ok(PathBuf::from("data/a/b..c")));
        assert_eq!(resolve_dir(root, ""), Ok(PathBuf::from("data")));
        assert_eq!(resolve_dir(root, ".."), Err(Fault::Io(libc::EINVAL)));
    }
}
