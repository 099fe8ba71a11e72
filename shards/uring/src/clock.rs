//! The only clock reads of the product.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use heddle_model::{Mono, Wall};

/// All cores of a process share one zero, so their `Mono` times compare.
#[derive(Clone, Copy)]
pub(crate) struct Clock {
    zero: Instant,
}

impl Clock {
    pub(crate) fn start() -> Clock {
        Clock { zero: Instant::now() }
    }

    pub(crate) fn mono(&self) -> Mono {
        let passed = self.zero.elapsed();
        Mono(passed.as_secs() * 1_000_000 + u64::from(passed.subsec_micros()))
    }

    pub(crate) fn wall(&self) -> Wall {
        // A machine whose clock stands before 1970 gets 1970.
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Wall(i64::try_from(wall.as_millis()).unwrap_or(i64::MAX))
    }
}
