//! A product's assert that fires in a run is a finding with a seed, not the end of the simulator.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    static WITHIN: Cell<bool> = const { Cell::new(false) };
    static SAID: Cell<Option<String>> = const { Cell::new(None) };
}

static HOOK: Once = Once::new();

/// Call `act`; if it panics, give what it said and where.
pub fn caught<T>(act: impl FnOnce() -> T) -> Result<T, String> {
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if WITHIN.get() {
                SAID.set(Some(info.to_string()));
            } else {
                before(info);
            }
        }));
    });
    WITHIN.set(true);
    let result = panic::catch_unwind(AssertUnwindSafe(act));
    WITHIN.set(false);
    result.map_err(|_| SAID.take().unwrap_or_else(|| "a panic without words".into()).replace('\n', " "))
}
