//! Errno to `Fault`, and which completions are asked again.

use std::io;

use heddle_border::{Failed, Fault};
use nix::libc;

pub(crate) fn from_errno(errno: i32) -> Fault {
    match errno {
        libc::ENOSPC | libc::EDQUOT => Fault::NoSpace,
        libc::ENOENT => Fault::NotFound,
        libc::EEXIST => Fault::AlreadyExists,
        other => Fault::Io(other),
    }
}

pub(crate) fn from_error(error: &io::Error) -> Fault {
    from_errno(error.raw_os_error().unwrap_or(libc::EIO))
}

pub(crate) fn failed(error: &io::Error) -> Failed {
    Failed { fault: from_error(error), buf: None }
}

/// The kernel did nothing and asks for the same operation once more.
pub(crate) fn is_again(result: i32) -> bool {
    result == -libc::EINTR || result == -libc::EAGAIN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_rooms_act_on() {
        assert_eq!(from_errno(libc::ENOSPC), Fault::NoSpace);
        assert_eq!(from_errno(libc::EDQUOT), Fault::NoSpace);
        assert_eq!(from_errno(libc::ENOENT), Fault::NotFound);
        assert_eq!(from_errno(libc::EEXIST), Fault::AlreadyExists);
        assert_eq!(from_errno(libc::EIO), Fault::Io(libc::EIO));
        assert_eq!(from_error(&io::Error::other("no errno")), Fault::Io(libc::EIO));
    }
}
