//! A log's segments and side files, harmed in any way, the side files' sums left wrong or made right again: loading ends,
//! reads answer with what was written or with the damage, and work goes on.
#![no_main]

use std::cell::OnceCell;

use heddle_fuzz::image::take;
use heddle_fuzz::log_life::{History, ID, Life, batches_of};
use heddle_fuzz::side_sums;
use heddle_log::Log;
use heddle_model::{Codec, Offset};
use libfuzzer_sys::fuzz_target;

/// Logs to begin with.
const HISTORIES: u64 = 16;
/// Reads of one input.
const READS_MAX: i64 = 24;

thread_local! {
    static MADE: OnceCell<Vec<History>> = const { OnceCell::new() };
}

fuzz_target!(|data: &[u8]| {
    let mut input = data;
    let (Some(which), Some(style)) = (take(&mut input), take(&mut input)) else { return };
    MADE.with(|made| {
        let histories = made.get_or_init(|| (0..HISTORIES).map(History::make).collect());
        check(&histories[usize::from(which) % histories.len()], style, input);
    });
});

fn check(history: &History, style: u8, mut input: &[u8]) {
    let mended = style & 1 == 1;
    let mut image = history.image.clone();
    image.harm(&mut input);
    if mended {
        side_sums::mend(&mut image);
    }
    let start = Offset((history.start.0 + i64::from(style >> 4)).min(history.mark.offset.0));
    let log = Log::recover(ID, start, Some(history.mark.clone()), history.tail.clone());
    let mut life = Life::begin(image.disk(), log, Some(history.mark.clone()));
    // Asked before it is loaded: that waits for loading, and fails with it.
    let early = life.find_time(0);
    if !life.load() {
        assert!(early.is_err() || start == life.log.settled(), "{early:?} of a log that cannot be loaded");
        return;
    }
    if !mended {
        assert!(life.companion.as_ref().is_none_or(|found| *found == history.companion), "{:?}", life.companion);
    }
    look(&mut life, history, mended);
    life.append(3, 500, Codec::None);
    life.append(4, 500, Codec::Zstd);
    life.settle();
    if style & 2 == 2 {
        life.compact();
    }
    if style & 4 == 4 {
        life.sweep();
    }
    let settled = life.log.settled();
    let mut life = life.next();
    assert!(life.load(), "what was just settled is loaded again");
    assert_eq!(life.log.settled(), settled);
    look(&mut life, history, true);
}

/// Read all over the log, from the disk.
fn look(life: &mut Life, history: &History, mended: bool) {
    let (start, end) = (life.log.start().0, life.log.end().0);
    let step = ((end - start) / READS_MAX).max(1);
    for at in (start..end).step_by(step as usize) {
        life.log.evict(usize::MAX);
        let read = life.read(Offset(at), 4096);
        if mended {
            continue;
        }
        for batch in batches_of(&read.unwrap_or_default()) {
            assert!(history.batches.contains(&batch), "at {at} there is what was never written");
        }
    }
    let _ = (life.find_time(start + 3), life.find_time(i64::MAX));
}
