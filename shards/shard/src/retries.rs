//! When settling that met trouble is tried again: paced, because a full or failing disk is not helped by haste.

use std::collections::BTreeMap;

use heddle_model::Mono;

/// Not a whole second: a journal that cannot grow asks for space once a second, and both should not meet every time.
const FIRST_MS: u64 = 300;
const LONGEST_MS: u64 = 2_400;

#[derive(Clone, Copy)]
struct Retry {
    at: Mono,
    waited_ms: u64,
    /// Handed out by `take_due`, and not heard of since.
    trying: bool,
    failed: bool,
}

/// Replicas, by slot, whose log wants to settle though no new records ask for it.
#[derive(Default)]
pub struct Retries {
    waiting: BTreeMap<usize, Retry>,
}

impl Retries {
    /// The log of `slot` wants to settle, `failed` if its last try did, or does not any more.
    pub fn note(&mut self, slot: usize, wants: bool, failed: bool, settling: bool, now: Mono) {
        if !wants {
            // A try that is under way may yet fail: then the next one comes later.
            if !settling {
                self.waiting.remove(&slot);
            }
            return;
        }
        let new = Retry { at: now.plus_ms(FIRST_MS), waited_ms: FIRST_MS, trying: false, failed };
        let retry = self.waiting.entry(slot).or_insert(new);
        retry.failed |= failed;
        if retry.trying {
            let wait_ms = (retry.waited_ms * 2).min(LONGEST_MS);
            *retry = Retry { at: now.plus_ms(wait_ms), waited_ms: wait_ms, trying: false, ..*retry };
        }
    }

    /// Slots whose time has come.
    pub fn take_due(&mut self, now: Mono, into: &mut Vec<usize>) {
        for (slot, retry) in &mut self.waiting {
            if !retry.trying && retry.at <= now {
                retry.trying = true;
                into.push(*slot);
            }
        }
    }

    /// Whether the slot must wait for its time.
    pub fn holds(&self, slot: usize) -> bool {
        self.waiting.get(&slot).is_some_and(|retry| !retry.trying)
    }

    /// Whether any log failed, and has not settled since.
    pub fn any_failed(&self) -> bool {
        self.waiting.values().any(|retry| retry.failed)
    }

    pub fn wake_at(&self) -> Option<Mono> {
        self.waiting.values().filter(|retry| !retry.trying).map(|retry| retry.at).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(retries: &mut Retries, now: u64) -> Vec<usize> {
        let mut slots = Vec::new();
        retries.take_due(Mono::default().plus_ms(now), &mut slots);
        slots
    }

    fn at(ms: u64) -> Mono {
        Mono::default().plus_ms(ms)
    }

    #[test]
    fn tries_come_later_and_later_until_one_succeeds() {
        let mut retries = Retries::default();
        retries.note(3, true, true, false, at(0));
        assert!(retries.holds(3));
        assert_eq!(due(&mut retries, 299), Vec::<usize>::new());
        let mut now = 300;
        for wait in [600, 1200, 2400, 2400] {
            assert_eq!(retries.wake_at(), Some(at(now)));
            assert_eq!(due(&mut retries, now), vec![3]);
            assert_eq!(due(&mut retries, now), Vec::<usize>::new(), "once");
            assert!(!retries.holds(3));
            // The try begins, and fails.
            retries.note(3, false, false, true, at(now + 1));
            retries.note(3, true, true, false, at(now + 2));
            now += 2 + wait;
        }
        assert_eq!(due(&mut retries, now), vec![3]);
        retries.note(3, false, false, true, at(now));
        assert!(retries.any_failed());
        retries.note(3, false, false, false, at(now + 1));
        assert!(!retries.any_failed());
        assert_eq!(retries.wake_at(), None);
    }

    #[test]
    fn a_try_that_could_not_begin_comes_again() {
        let mut retries = Retries::default();
        retries.note(1, true, true, false, at(0));
        assert_eq!(due(&mut retries, 300), vec![1]);
        retries.note(1, true, true, false, at(300));
        assert_eq!(retries.wake_at(), Some(at(900)));
    }

    #[test]
    fn slots_do_not_wait_for_each_other() {
        let mut retries = Retries::default();
        retries.note(1, true, false, false, at(0));
        retries.note(2, true, false, false, at(100));
        assert!(!retries.any_failed());
        assert_eq!(due(&mut retries, 300), vec![1]);
        assert_eq!(retries.wake_at(), Some(at(400)));
        assert_eq!(due(&mut retries, 400), vec![2]);
    }
}
